// Crop and resize as Pillow does them.
#pragma once

#include "data/image.h"

namespace dcl::data {

/// Rows [top, top + height), columns [left, left + width).
struct CropBox {
  std::int64_t top = 0;
  std::int64_t left = 0;
  std::int64_t height = 0;
  std::int64_t width = 0;
  bool operator==(const CropBox&) const = default;
};

/// Throws where the box is empty or leaves a picture of this size.
void check_box(const CropBox& box, std::int64_t width, std::int64_t height);

/// Cuts the box out and resizes it to width × height by Pillow's antialiased bilinear filter (before version
/// 13: horizontal pass first): a triangle of support max(1, scale), weights quantised to 22 bits, 8-bit
/// rounding between the passes. The filter sees nothing outside the box. Throws where the box is empty or
/// leaves the picture.
Image crop_resize(const Image& image, const CropBox& box, std::int64_t width, std::int64_t height);

}  // namespace dcl::data
