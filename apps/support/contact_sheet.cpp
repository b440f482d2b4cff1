#include "apps/support/contact_sheet.h"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <fstream>
#include <string_view>

#include "data/pack/writer.h"
#include "data/resize.h"
#include "tensor/check.h"

namespace dcl::apps {

namespace {

using data::Image;

constexpr std::int64_t kLeastView = 176;    // pixels a side that a small view is enlarged to, at least
constexpr std::int64_t kLeastOriginal = 8;  // pixels a side
constexpr std::int64_t kLeastBox = 4;       // as much as two lines need
constexpr std::int64_t kGap = 12;
constexpr std::int64_t kBetweenPairs = 28;
constexpr std::int64_t kTitleLine = 22;
constexpr std::int64_t kName = 20;  // the line above a pair
constexpr std::int64_t kLine = 15;  // of a caption
constexpr double kFont = 12;
constexpr double kTitleFont = 16;

std::int64_t shown_side(std::int64_t view_size) {
  return view_size * std::max<std::int64_t>(1, (kLeastView + view_size - 1) / view_size);
}

std::int64_t scaled(std::int64_t at, std::int64_t from, std::int64_t to) {
  return std::llround(static_cast<double>(at) * static_cast<double>(to) / static_cast<double>(from));
}

// From `from` to `to` of a side of the picture, in pixels of the side that is shown.
std::pair<std::int64_t, std::int64_t> span_in(std::int64_t from, std::int64_t to, std::int64_t picture,
                                              std::int64_t shown) {
  const std::int64_t begin = scaled(from, picture, shown);
  const std::int64_t length = std::max(kLeastBox, scaled(to, picture, shown) - begin);
  return {std::min(begin, shown - length), length};
}

Rect box_in(const Rect& place, const data::CropBox& crop, const SheetOriginal& original) {
  const auto [left, width] = span_in(crop.left, crop.left + crop.width, original.width, place.width);
  const auto [top, height] = span_in(crop.top, crop.top + crop.height, original.height, place.height);
  return {place.left + left, place.top + top, width, height};
}

std::string number(double value) { return fmt::format("{:.2f}", value); }

void draw_pair(Canvas& canvas, const SheetPair& pair, const PairPlace& place) {
  canvas.text(place.name, place.original.left, place.original.top - 6, kFont, 0x333333);
  canvas.image(pair.original->shown, place.original);
  for (const auto& box : place.boxes) canvas.frame(box, 0xFFFFFF, 4);  // shows around the colours of both
  for (std::size_t v = 0; v < 2; ++v) canvas.frame(place.boxes[v], kViewColors[v], 2);
  for (std::size_t v = 0; v < 2; ++v) {
    const Rect& view = place.views[v];
    canvas.image(pair.views[v], view);
    canvas.frame({view.left - 3, view.top - 3, view.width + 6, view.height + 6}, kViewColors[v], 2);
    std::int64_t baseline = view.top + view.height + 2;
    for (const auto& line : place.captions[v])
      canvas.text(line, view.left, baseline += kLine, kFont, kViewColors[v]);
  }
}

// The first two chunks of a PNG file: its header of 33 bytes, and what tells a sheet from other pictures.
constexpr std::size_t kHeader = 33;
constexpr std::string_view kMark{"tEXtSoftware\0densecl_views", 26};

void append_number(std::vector<std::uint8_t>& bytes, std::uint32_t number) {
  for (const int shift : {24, 16, 8, 0}) bytes.push_back(static_cast<std::uint8_t>(number >> shift));
}

std::vector<std::uint8_t> mark_chunk() {
  std::vector<std::uint8_t> chunk;
  append_number(chunk, kMark.size() - 4);  // without the chunk's type
  chunk.insert(chunk.end(), kMark.begin(), kMark.end());
  append_number(chunk, data::crc_of(std::span(chunk).subspan(4)));
  return chunk;
}

}  // namespace

// As high as the views, at most half as wide again.
std::shared_ptr<const SheetOriginal> sheet_original(const Image& picture, std::int64_t view_size) {
  const auto width = static_cast<double>(picture.width);
  const auto height = static_cast<double>(picture.height);
  const auto most = static_cast<double>(shown_side(view_size));
  const double scale = std::min(1.5 * most / width, most / height);
  const auto side = [&](double length) {
    return std::max<std::int64_t>(kLeastOriginal, std::llround(length * scale));
  };
  return std::make_shared<const SheetOriginal>(
      SheetOriginal{picture.width, picture.height,
                    crop_resize(picture, {0, 0, picture.height, picture.width}, side(width), side(height))});
}

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

SheetLayout layout_sheet(std::span<const SheetPair> pairs, const std::string& title) {
  check(!pairs.empty(), "a sheet without pictures");
  const Canvas ruler(1, 1);
  const std::int64_t side = shown_side(pairs.front().views[0].width);
  std::int64_t widest = 0;  // of the originals
  for (const auto& pair : pairs) widest = std::max(widest, pair.original->shown.width);
  SheetLayout layout;
  std::int64_t lines = 0;  // of the longest caption
  for (const auto& pair : pairs) {
    PairPlace place;
    place.name = elided(ruler, displayable(pair.name), kFont, widest + 2 * (kGap + side));
    for (std::size_t v = 0; v < 2; ++v) {
      place.captions[v] = wrapped(ruler, caption_of(pair.params[v]), ",", kFont, side);
      lines = std::max(lines, std::ssize(place.captions[v]));
    }
    layout.places.push_back(std::move(place));
  }
  const std::int64_t tile_width = widest + 2 * (kGap + side) + kBetweenPairs;
  const std::int64_t tile_height = kName + side + kLine * lines + kBetweenPairs;
  // About as wide as high.
  const double square =
      std::sqrt(static_cast<double>(std::ssize(pairs) * tile_height) / static_cast<double>(tile_width));
  const std::int64_t columns = std::clamp<std::int64_t>(std::llround(square), 1, std::ssize(pairs));
  layout.width = kBetweenPairs + columns * tile_width;
  layout.title =
      wrapped(ruler, words_of(displayable(title)), "", kTitleFont, layout.width - 2 * kBetweenPairs);
  const std::int64_t head = kGap + std::ssize(layout.title) * kTitleLine + kGap;
  layout.height = head + (std::ssize(pairs) + columns - 1) / columns * tile_height;
  check(layout.width <= Canvas::kMostSide && layout.height <= Canvas::kMostSide,
        "a sheet of {} pairs would have {}×{} pixels, expected at most {} a side: take fewer pictures",
        pairs.size(), layout.width, layout.height, Canvas::kMostSide);
  for (std::int64_t i = 0; i < std::ssize(pairs); ++i) {
    const SheetPair& pair = pairs[static_cast<std::size_t>(i)];
    PairPlace& place = layout.places[static_cast<std::size_t>(i)];
    const std::int64_t left = kBetweenPairs + i % columns * tile_width;
    const std::int64_t top = head + i / columns * tile_height + kName;
    place.original = {left, top, pair.original->shown.width, pair.original->shown.height};
    for (std::size_t v = 0; v < 2; ++v) {
      place.boxes[v] = box_in(place.original, pair.params[v].crop, *pair.original);
      place.views[v] = {left + widest + kGap + static_cast<std::int64_t>(v) * (side + kGap), top, side, side};
    }
  }
  return layout;
}

std::vector<std::uint8_t> draw_sheet(std::span<const SheetPair> pairs, const std::string& title) {
  const SheetLayout layout = layout_sheet(pairs, title);
  Canvas canvas(layout.width, layout.height);
  std::int64_t baseline = kGap - 6;
  for (const auto& line : layout.title)
    canvas.text(line, kBetweenPairs, baseline += kTitleLine, kTitleFont, 0x000000);
  for (std::size_t i = 0; i < pairs.size(); ++i) draw_pair(canvas, pairs[i], layout.places[i]);
  std::vector<std::uint8_t> png = canvas.png();
  const std::vector<std::uint8_t> mark = mark_chunk();
  png.insert(png.begin() + kHeader, mark.begin(), mark.end());
  return png;
}

bool is_sheet(const std::filesystem::path& file) {
  const std::vector<std::uint8_t> mark = mark_chunk();
  std::ifstream in(file, std::ios::binary);
  check(in.is_open(), "{}: {}", file.string(), std::strerror(errno));
  std::vector<char> found(mark.size());
  return in.seekg(kHeader) && in.read(found.data(), std::ssize(found)) &&
         std::equal(mark.begin(), mark.end(), found.begin(),
                    [](std::uint8_t a, char b) { return a == static_cast<std::uint8_t>(b); });
}

}  // namespace dcl::apps
