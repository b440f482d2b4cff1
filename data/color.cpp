#include "data/color.h"

#include <algorithm>

#include "data/color_kernels.h"
#include "data/pixel_math.h"

namespace dcl::data {

void adjust_brightness(Image& image, double factor) {
  color_kernels().blend_with(image.pixels.data(), image.pixels.size(), 0, static_cast<float>(factor));
}

void adjust_contrast(Image& image, double factor) {
  if (image.pixels.empty()) return;
  const std::size_t count = image.pixels.size() / 3;
  const std::int32_t mean = mean_luma(color_kernels().sum_of_luma(image.pixels.data(), count), count);
  color_kernels().blend_with(image.pixels.data(), image.pixels.size(), mean, static_cast<float>(factor));
}

void adjust_saturation(Image& image, double factor) {
  color_kernels().blend_with_luma(image.pixels.data(), image.pixels.size() / 3, static_cast<float>(factor));
}

void adjust_hue(Image& image, double factor) {
  color_kernels().turn_hue(image.pixels.data(), image.pixels.size() / 3, hue_turn(factor));
}

void grayscale(Image& image) { color_kernels().to_luma(image.pixels.data(), image.pixels.size() / 3); }

void solarize(Image& image, int threshold) {
  for (auto& value : image.pixels) value = static_cast<std::uint8_t>(value < threshold ? value : 255 - value);
}

void flip(Image& image) {
  for (std::int64_t y = 0; y < image.height; ++y)
    color_kernels().reverse(image.row(y), static_cast<std::size_t>(image.width));
}

}  // namespace dcl::data
