// A picture of what augmentation does: originals with the crops of both views drawn on them, and the views.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "apps/support/canvas.h"
#include "data/augment.h"

namespace dcl::apps {

/// A picture as small as the sheet shows it, so that sheets of many photos need little memory.
struct SheetOriginal {
  std::int64_t width = 0;  // of the picture itself
  std::int64_t height = 0;
  data::Image shown;
};

/// `view_size`: side of the views beside it.
std::shared_ptr<const SheetOriginal> sheet_original(const data::Image& picture, std::int64_t view_size);

/// A pair of views and where they are from.
struct SheetPair {
  std::string name;                               // above the pair
  std::shared_ptr<const SheetOriginal> original;  // which several pairs may share
  std::array<data::ViewParams, 2> params;
  std::array<data::Image, 2> views;  // squares of one size: the query's, the key's
};

/// Where a pair is drawn, and the lines of text around it.
struct PairPlace {
  Rect original;
  std::array<Rect, 2> boxes;  // the crops, inside `original`; 2 px wide lines run along their inner edges
  std::array<Rect, 2> views;
  std::string name;
  std::array<std::vector<std::string>, 2> captions;
};

struct SheetLayout {
  std::int64_t width = 0;
  std::int64_t height = 0;
  std::vector<std::string> title;
  std::vector<PairPlace> places;
};

/// Colours of the query's and the key's box and frame, 0xRRGGBB.
inline constexpr std::array<std::uint32_t, 2> kViewColors = {0xE66A00, 0x1F6FEB};

/// Views are shown pixel by pixel, small ones enlarged by a whole factor; originals are fitted in beside
/// them. All that was drawn has room below its view. Throws Error where the sheet would be larger than
/// Canvas::kMostSide.
SheetLayout layout_sheet(std::span<const SheetPair> pairs, const std::string& title);

/// The sheet as a PNG file, `title` at its top.
std::vector<std::uint8_t> draw_sheet(std::span<const SheetPair> pairs, const std::string& title);
/// Whether a file is a sheet that draw_sheet() made; reads no more of it than its first bytes. Throws Error
/// where it cannot be opened.
bool is_sheet(const std::filesystem::path& file);

/// What was drawn for a view, one thing an element: "388×300 at (38, 40)", "brightness 1.37", "flip".
std::vector<std::string> caption_of(const data::ViewParams& params);

}  // namespace dcl::apps
