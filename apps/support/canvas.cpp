#include "apps/support/canvas.h"

#include <sstream>

#include <cairo.h>
#include <nlohmann/json.hpp>

#include "tensor/check.h"

namespace dcl::apps {

namespace {

// Where each code point of UTF-8 text begins, and its end.
std::vector<std::size_t> code_points(const std::string& text) {
  std::vector<std::size_t> at;
  for (std::size_t i = 0; i < text.size(); ++i)
    if ((static_cast<unsigned char>(text[i]) & 0xC0) != 0x80) at.push_back(i);
  at.push_back(text.size());
  return at;
}

}  // namespace

void Canvas::Destroy::operator()(_cairo* context) const { cairo_destroy(context); }
void Canvas::Destroy::operator()(_cairo_surface* surface) const { cairo_surface_destroy(surface); }

Canvas::Canvas(std::int64_t width, std::int64_t height)
    : surface_(
          cairo_image_surface_create(CAIRO_FORMAT_RGB24, static_cast<int>(width), static_cast<int>(height))) {
  const cairo_status_t status = cairo_surface_status(surface_.get());
  check(status == CAIRO_STATUS_SUCCESS, "a picture of {}×{} pixels: {}", width, height,
        cairo_status_to_string(status));
  context_.reset(cairo_create(surface_.get()));
  set_color(0xFFFFFF);
  cairo_paint(context_.get());
  cairo_select_font_face(context_.get(), "sans-serif", CAIRO_FONT_SLANT_NORMAL, CAIRO_FONT_WEIGHT_NORMAL);
}

void Canvas::image(const data::Image& image, const Rect& place) {
  cairo_surface_flush(surface_.get());
  unsigned char* const bytes = cairo_image_surface_get_data(surface_.get());
  const std::int64_t stride = cairo_image_surface_get_stride(surface_.get());
  for (std::int64_t y = 0; y < place.height; ++y) {
    auto* row = reinterpret_cast<std::uint32_t*>(bytes + (place.top + y) * stride) + place.left;
    const std::uint8_t* from = image.row(y * image.height / place.height);
    for (std::int64_t x = 0; x < place.width; ++x) {
      const std::uint8_t* pixel = from + x * image.width / place.width * 3;
      row[x] = (std::uint32_t{pixel[0]} << 16) | (std::uint32_t{pixel[1]} << 8) | pixel[2];
    }
  }
  cairo_surface_mark_dirty(surface_.get());
}

void Canvas::frame(const Rect& rect, std::uint32_t color, double width) {
  set_color(color);
  cairo_set_line_width(context_.get(), width);
  cairo_rectangle(context_.get(), static_cast<double>(rect.left) + 1, static_cast<double>(rect.top) + 1,
                  static_cast<double>(rect.width) - 2, static_cast<double>(rect.height) - 2);
  cairo_stroke(context_.get());
}

void Canvas::text(const std::string& line, std::int64_t left, std::int64_t baseline, double size,
                  std::uint32_t color) {
  set_color(color);
  cairo_set_font_size(context_.get(), size);
  cairo_move_to(context_.get(), static_cast<double>(left), static_cast<double>(baseline));
  cairo_show_text(context_.get(), line.c_str());
}

double Canvas::width_of(const std::string& line, double size) const {
  cairo_set_font_size(context_.get(), size);
  cairo_text_extents_t extents{};
  cairo_text_extents(context_.get(), line.c_str(), &extents);
  return extents.x_advance;
}

// Cairo leaves out all that is drawn after an error, without a word: the context has to be asked.
std::vector<std::uint8_t> Canvas::png() const {
  const cairo_status_t drawn = cairo_status(context_.get());
  check(drawn == CAIRO_STATUS_SUCCESS, "a picture cannot be drawn: {}", cairo_status_to_string(drawn));
  std::vector<std::uint8_t> bytes;
  const auto append = [](void* to, const unsigned char* data, unsigned int count) {
    auto* all = static_cast<std::vector<std::uint8_t>*>(to);
    all->insert(all->end(), data, data + count);
    return CAIRO_STATUS_SUCCESS;
  };
  const cairo_status_t status = cairo_surface_write_to_png_stream(surface_.get(), append, &bytes);
  check(status == CAIRO_STATUS_SUCCESS, "a PNG picture: {}", cairo_status_to_string(status));
  return bytes;
}

void Canvas::set_color(std::uint32_t rgb) {
  cairo_set_source_rgb(context_.get(), (rgb >> 16) / 255.0, ((rgb >> 8) & 255) / 255.0, (rgb & 255) / 255.0);
}

// JSON's writer knows what UTF-8 is.
std::string displayable(const std::string& text) {
  using nlohmann::json;
  return json::parse(json(text).dump(-1, ' ', false, json::error_handler_t::replace)).get<std::string>();
}

std::string elided(const Canvas& canvas, const std::string& text, double size, std::int64_t width) {
  const auto fits = [&](const std::string& line) {
    return canvas.width_of(line, size) <= static_cast<double>(width);
  };
  if (fits(text)) return text;
  const std::vector<std::size_t> at = code_points(text);
  const auto kept = [&](std::size_t count) {  // so many code points, the larger half at the beginning
    return text.substr(0, at[(count + 1) / 2]) + "…" + text.substr(at[at.size() - 1 - count / 2]);
  };
  std::size_t low = 0;
  std::size_t high = at.size() - 1;
  while (low + 1 < high) {
    const std::size_t middle = (low + high) / 2;
    (fits(kept(middle)) ? low : high) = middle;
  }
  return kept(low);
}

std::vector<std::string> wrapped(const Canvas& canvas, const std::vector<std::string>& elements,
                                 const std::string& separator, double size, std::int64_t width) {
  const auto fits = [&](const std::string& line) {
    return canvas.width_of(line, size) <= static_cast<double>(width);
  };
  std::vector<std::string> lines;
  for (std::size_t i = 0; i < elements.size(); ++i) {
    const std::string element = elements[i] + (i + 1 < elements.size() ? separator : "");
    if (!lines.empty() && fits(lines.back() + " " + element)) {
      lines.back() += " " + element;
      continue;
    }
    const std::vector<std::string> words = words_of(element);
    if (fits(element) || words.size() < 2) {
      lines.push_back(element);
    } else {
      const auto broken = wrapped(canvas, words, "", size, width);
      lines.insert(lines.end(), broken.begin(), broken.end());
    }
  }
  return lines;
}

std::vector<std::string> words_of(const std::string& text) {
  std::istringstream in(text);
  std::vector<std::string> words;
  for (std::string word; in >> word;) words.push_back(word);
  return words;
}

}  // namespace dcl::apps
