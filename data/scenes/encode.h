// Pictures to the bytes of files.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace dcl::data::scenes {

/// `rgb` is [height, width, 3]. Baseline JPEG, 4:2:0, `quality` 1 to 100. Throws dcl::Error with libjpeg's
/// line.
std::vector<std::uint8_t> encode_jpeg(std::span<const std::uint8_t> rgb, int width, int height, int quality);

/// `indices` is [height, width]: 8-bit palette PNG with PASCAL VOC's palette. Throws dcl::Error with libpng's
/// line.
std::vector<std::uint8_t> encode_mask_png(std::span<const std::uint8_t> indices, int width, int height);

}  // namespace dcl::data::scenes
