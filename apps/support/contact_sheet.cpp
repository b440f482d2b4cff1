#include "apps/support/contact_sheet.h"

#include <algorithm>
#include <cmath>

#include <cairo.h>

#include "data/resize.h"
#include "tensor/check.h"

namespace dcl::apps {

namespace {

using data::Image;

constexpr std::int64_t kLeastView = 176;  // pixels a side that a small view is enlarged to, at least
constexpr std::int64_t kGap = 12;
constexpr std::int64_t kBetweenPairs = 28;
constexpr std::int64_t kTitle = 34;
constexpr std::int64_t kName = 20;  // the line above a pair
constexpr std::int64_t kLine = 15;  // of a caption
constexpr std::int64_t kLines = 5;
constexpr double kFont = 12;
constexpr std::int64_t kMostSide = 32'767;  // Cairo's

std::int64_t shown_side(const Image& view) {
  return view.width * std::max<std::int64_t>(1, (kLeastView + view.width - 1) / view.width);
}

struct Size {
  std::int64_t width;
  std::int64_t height;
};

// As high as the views, at most half as wide again.
Size fitted(const Image& picture, std::int64_t side) {
  const auto width = static_cast<double>(picture.width);
  const auto height = static_cast<double>(picture.height);
  const auto most = static_cast<double>(side);
  const double scale = std::min(1.5 * most / width, most / height);
  return {std::max<std::int64_t>(1, std::llround(width * scale)),
          std::max<std::int64_t>(1, std::llround(height * scale))};
}

std::int64_t scaled(std::int64_t at, std::int64_t from, std::int64_t to) {
  return std::llround(static_cast<double>(at) * static_cast<double>(to) / static_cast<double>(from));
}

Rect box_in(const Rect& original, const data::CropBox& crop, const Image& picture) {
  const std::int64_t left = scaled(crop.left, picture.width, original.width);
  const std::int64_t top = scaled(crop.top, picture.height, original.height);
  const std::int64_t right = scaled(crop.left + crop.width, picture.width, original.width);
  const std::int64_t bottom = scaled(crop.top + crop.height, picture.height, original.height);
  return {original.left + left, original.top + top, right - left, bottom - top};
}

std::string number(double value) { return fmt::format("{:.2f}", value); }

void destroy(cairo_surface_t* surface) { cairo_surface_destroy(surface); }
void destroy(cairo_t* context) { cairo_destroy(context); }

struct Destroy {
  template <class T>
  void operator()(T* what) const {
    destroy(what);
  }
};

using Surface = std::unique_ptr<cairo_surface_t, Destroy>;

Surface new_surface(std::int64_t width, std::int64_t height) {
  Surface surface(
      cairo_image_surface_create(CAIRO_FORMAT_RGB24, static_cast<int>(width), static_cast<int>(height)));
  const cairo_status_t status = cairo_surface_status(surface.get());
  check(status == CAIRO_STATUS_SUCCESS, "a sheet of {}×{} pixels: {}", width, height,
        cairo_status_to_string(status));
  return surface;
}

class Canvas {
 public:
  Canvas(std::int64_t width, std::int64_t height)
      : surface_(new_surface(width, height)), context_(cairo_create(surface_.get())) {
    set_color(0xFFFFFF);
    cairo_paint(context_.get());
    cairo_select_font_face(context_.get(), "sans-serif", CAIRO_FONT_SLANT_NORMAL, CAIRO_FONT_WEIGHT_NORMAL);
  }

  // Every pixel `place.width / image.width` times.
  void image(const Image& image, const Rect& place) {
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

  // A line along the middle of the outermost 2 px inside of `rect`.
  void frame(const Rect& rect, std::uint32_t color, double width) {
    set_color(color);
    cairo_set_line_width(context_.get(), width);
    cairo_rectangle(context_.get(), static_cast<double>(rect.left) + 1, static_cast<double>(rect.top) + 1,
                    static_cast<double>(rect.width) - 2, static_cast<double>(rect.height) - 2);
    cairo_stroke(context_.get());
  }

  void text(const std::string& line, std::int64_t left, std::int64_t baseline, double size,
            std::uint32_t color) {
    set_color(color);
    cairo_set_font_size(context_.get(), size);
    cairo_move_to(context_.get(), static_cast<double>(left), static_cast<double>(baseline));
    cairo_show_text(context_.get(), line.c_str());
  }

  double width_of(const std::string& line, double size) {
    cairo_set_font_size(context_.get(), size);
    cairo_text_extents_t extents{};
    cairo_text_extents(context_.get(), line.c_str(), &extents);
    return extents.x_advance;
  }

  std::vector<std::uint8_t> png() {
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

 private:
  void set_color(std::uint32_t rgb) {
    cairo_set_source_rgb(context_.get(), (rgb >> 16) / 255.0, ((rgb >> 8) & 255) / 255.0,
                         (rgb & 255) / 255.0);
  }

  Surface surface_;
  std::unique_ptr<cairo_t, Destroy> context_;
};

// As many elements a line as fit; what does not fit into the lines ends in "…".
void draw_caption(Canvas& canvas, const std::vector<std::string>& elements, const Rect& view,
                  std::uint32_t color) {
  std::vector<std::string> lines(1);
  for (const auto& element : elements) {
    const std::string longer = lines.back().empty() ? element : lines.back() + ", " + element;
    if (lines.back().empty() || canvas.width_of(longer, kFont) <= static_cast<double>(view.width))
      lines.back() = longer;
    else
      lines.push_back(element);
  }
  if (std::ssize(lines) > kLines) {
    lines.resize(kLines);
    lines.back() += " …";
  }
  std::int64_t baseline = view.top + view.height + kLine + 2;
  for (const auto& line : lines) {
    canvas.text(line, view.left, baseline, kFont, color);
    baseline += kLine;
  }
}

void draw_pair(Canvas& canvas, const SheetPair& pair, const PairPlace& place) {
  canvas.text(pair.name, place.original.left, place.original.top - 6, kFont, 0x333333);
  canvas.image(crop_resize(*pair.picture, {0, 0, pair.picture->height, pair.picture->width},
                           place.original.width, place.original.height),
               place.original);
  for (const auto& box : place.boxes) canvas.frame(box, 0xFFFFFF, 4);  // shows around the colours of both
  for (std::size_t v = 0; v < 2; ++v) canvas.frame(place.boxes[v], kViewColors[v], 2);
  for (std::size_t v = 0; v < 2; ++v) {
    canvas.image(pair.views[v], place.views[v]);
    const Rect& view = place.views[v];
    canvas.frame({view.left - 3, view.top - 3, view.width + 6, view.height + 6}, kViewColors[v], 2);
    draw_caption(canvas, caption_of(pair.params[v]), place.views[v], kViewColors[v]);
  }
}

}  // namespace

std::vector<std::string> caption_of(const data::ViewParams& p) {
  std::vector<std::string> elements;
  elements.push_back(fmt::format("{}×{} at ({}, {})", p.crop.width, p.crop.height, p.crop.left, p.crop.top));
  if (p.jitter) {
    static constexpr std::array<const char*, 4> names{"brightness", "contrast", "saturation", "hue"};
    for (const auto& jitter : *p.jitter)
      elements.push_back(std::string(names[static_cast<std::size_t>(jitter.kind)]) + " " +
                         number(jitter.factor));
  }
  if (p.grayscale) elements.emplace_back("grayscale");
  if (p.blur_sigma) elements.push_back("blur " + number(*p.blur_sigma));
  if (p.solarize_threshold) elements.push_back(fmt::format("solarize {}", *p.solarize_threshold));
  if (p.flip) elements.emplace_back("flip");
  return elements;
}

SheetLayout layout_sheet(std::span<const SheetPair> pairs) {
  check(!pairs.empty(), "a sheet without pictures");
  const std::int64_t side = shown_side(pairs.front().views[0]);
  std::int64_t widest = 0;  // of the originals
  for (const auto& pair : pairs) widest = std::max(widest, fitted(*pair.picture, side).width);
  const std::int64_t tile_width = widest + 2 * (kGap + side) + kBetweenPairs;
  const std::int64_t tile_height = kName + side + kLine * kLines + kBetweenPairs;
  // About as wide as high.
  const double square =
      std::sqrt(static_cast<double>(std::ssize(pairs) * tile_height) / static_cast<double>(tile_width));
  const std::int64_t columns = std::clamp<std::int64_t>(std::llround(square), 1, std::ssize(pairs));
  SheetLayout layout;
  layout.width = kBetweenPairs + columns * tile_width;
  layout.height = kTitle + kGap + (std::ssize(pairs) + columns - 1) / columns * tile_height;
  check(layout.width <= kMostSide && layout.height <= kMostSide,
        "a sheet of {} pairs would have {}×{} pixels, expected at most {} a side: take fewer pictures",
        pairs.size(), layout.width, layout.height, kMostSide);
  for (std::int64_t i = 0; i < std::ssize(pairs); ++i) {
    const SheetPair& pair = pairs[static_cast<std::size_t>(i)];
    const std::int64_t left = kBetweenPairs + i % columns * tile_width;
    const std::int64_t top = kTitle + kGap + i / columns * tile_height + kName;
    const Size size = fitted(*pair.picture, side);
    PairPlace place;
    place.original = {left, top, size.width, size.height};
    for (std::size_t v = 0; v < 2; ++v) {
      place.boxes[v] = box_in(place.original, pair.params[v].crop, *pair.picture);
      place.views[v] = {left + widest + kGap + static_cast<std::int64_t>(v) * (side + kGap), top, side, side};
    }
    layout.places.push_back(place);
  }
  return layout;
}

std::vector<std::uint8_t> draw_sheet(std::span<const SheetPair> pairs, const std::string& title) {
  const SheetLayout layout = layout_sheet(pairs);
  Canvas canvas(layout.width, layout.height);
  canvas.text(title, kBetweenPairs, kTitle - 6, 16, 0x000000);
  for (std::size_t i = 0; i < pairs.size(); ++i) draw_pair(canvas, pairs[i], layout.places[i]);
  return canvas.png();
}

}  // namespace dcl::apps
