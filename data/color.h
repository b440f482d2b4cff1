// Colour operations on 8-bit pictures, with Pillow's and torchvision's roundings. All work in place.
#pragma once

#include "data/image.h"

namespace dcl::data {

/// Pillow's luma: (19595 R + 38470 G + 7471 B + 32768) >> 16.
inline std::uint8_t luma(const std::uint8_t* rgb) {
  return static_cast<std::uint8_t>((rgb[0] * 19595 + rgb[1] * 38470 + rgb[2] * 7471 + 0x8000) >> 16);
}

/// Blends with black: factor 0 is black, 1 the picture itself.
void adjust_brightness(Image& image, double factor);
/// Blends with a uniform grey, the rounded mean luma of the picture.
void adjust_contrast(Image& image, double factor);
/// Blends with the picture's own luma.
void adjust_saturation(Image& image, double factor);
/// A turn of the hue by `factor` of a circle, -0.5 to 0.5, as torchvision rounds it: uint8(255 · factor),
/// wrapping.
inline std::uint8_t hue_turn(double factor) {
  return static_cast<std::uint8_t>(static_cast<int>(factor * 255));
}
/// Turns the hue in 8-bit HSV: H += hue_turn(factor), wrapping.
void adjust_hue(Image& image, double factor);
/// Luma in all three channels.
void grayscale(Image& image);
/// Values from `threshold` (0 to 256) on become 255 - value: Pillow's ImageOps.solarize.
void solarize(Image& image, int threshold);
/// Left becomes right.
void flip(Image& image);

}  // namespace dcl::data
