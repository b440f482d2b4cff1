// A picture of what augmentation does: originals with the crops of both views drawn on them, and the views.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "data/augment.h"

namespace dcl::apps {

/// A pair of views and where they are from.
struct SheetPair {
  std::string name;                            // above the pair
  std::shared_ptr<const data::Image> picture;  // the original, which several pairs may share
  std::array<data::ViewParams, 2> params;
  std::array<data::Image, 2> views;  // squares of one size: the query's, the key's
};

/// In pixels of the sheet.
struct Rect {
  std::int64_t left = 0;
  std::int64_t top = 0;
  std::int64_t width = 0;
  std::int64_t height = 0;
};

/// Where a pair is drawn.
struct PairPlace {
  Rect original;
  std::array<Rect, 2> boxes;  // the crops, inside `original`; 2 px wide lines run along their inner edges
  std::array<Rect, 2> views;
};

struct SheetLayout {
  std::int64_t width = 0;
  std::int64_t height = 0;
  std::vector<PairPlace> places;
};

/// Colours of the query's and the key's box and frame, 0xRRGGBB.
inline constexpr std::array<std::uint32_t, 2> kViewColors = {0xE66A00, 0x1F6FEB};

/// Views are shown pixel by pixel, small ones enlarged by a whole factor; originals are fitted in beside
/// them. Throws Error where the sheet would be larger than a PNG by Cairo can be (32,767 pixels a side).
SheetLayout layout_sheet(std::span<const SheetPair> pairs);

/// The sheet as a PNG file, `title` at its top.
std::vector<std::uint8_t> draw_sheet(std::span<const SheetPair> pairs, const std::string& title);

/// What was drawn for a view, one thing an element: "388×300 at (38, 40)", "brightness 1.37", "flip".
std::vector<std::string> caption_of(const data::ViewParams& params);

}  // namespace dcl::apps
