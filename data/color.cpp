#include "data/color.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace dcl::data {

namespace {

// Pillow's Image.blend: between 0 and 1 it truncates, outside it clips as well (which changes nothing
// between).
std::uint8_t blended(int from, int to, float factor) {
  const float value = static_cast<float>(from) + factor * static_cast<float>(to - from);
  return value <= 0 ? std::uint8_t{0} : value >= 255 ? std::uint8_t{255} : static_cast<std::uint8_t>(value);
}

using Table = std::array<std::uint8_t, 256>;

// Blending with a constant depends on the pixel's value alone.
Table blend_table(int from, float factor) {
  Table table{};
  for (int value = 0; value < 256; ++value)
    table[static_cast<std::size_t>(value)] = blended(from, value, factor);
  return table;
}

void apply(Image& image, const Table& table) {
  for (auto& value : image.pixels) value = table[value];
}

int mean_luma(const Image& image) {
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < image.pixels.size(); i += 3) sum += luma(image.pixels.data() + i);
  const auto count = static_cast<double>(image.pixels.size() / 3);
  return static_cast<int>(static_cast<double>(sum) / count + 0.5);
}

struct Hsv {
  std::uint8_t h, s, v;
};

std::uint8_t to_byte(double value) {
  return static_cast<std::uint8_t>(std::clamp(static_cast<int>(value), 0, 255));
}

// The mixture of float and double is Pillow's: the truncation to 8 bits shows every bit of it.
Hsv to_hsv(const std::uint8_t* rgb) {
  const int most = std::max({rgb[0], rgb[1], rgb[2]});
  const int least = std::min({rgb[0], rgb[1], rgb[2]});
  if (most == least) return {0, 0, static_cast<std::uint8_t>(most)};
  const auto range = static_cast<float>(most - least);
  const float s = range / static_cast<float>(most);
  const float r = static_cast<float>(most - rgb[0]) / range;
  const float g = static_cast<float>(most - rgb[1]) / range;
  const float b = static_cast<float>(most - rgb[2]) / range;
  float h = 0;
  if (rgb[0] == most)
    h = b - g;
  else if (rgb[1] == most)
    h = static_cast<float>(2.0 + r - b);
  else
    h = static_cast<float>(4.0 + g - r);
  h = static_cast<float>(std::fmod(h / 6.0 + 1.0, 1.0));
  return {to_byte(h * 255.0), to_byte(s * 255.0), static_cast<std::uint8_t>(most)};
}

void to_rgb(const Hsv& hsv, std::uint8_t* rgb) {
  if (hsv.s == 0) {
    rgb[0] = rgb[1] = rgb[2] = hsv.v;
    return;
  }
  const double sixth = static_cast<float>(hsv.h) * 6.0 / 255.0;
  const int i = static_cast<int>(std::floor(sixth));
  const auto f = static_cast<float>(sixth - static_cast<float>(i));
  const auto s = static_cast<float>(static_cast<float>(hsv.s) / 255.0);
  const auto v = static_cast<float>(hsv.v);
  const std::uint8_t p = to_byte(std::round(v * (1.0 - s)));
  const std::uint8_t q = to_byte(std::round(v * (1.0 - s * f)));
  const std::uint8_t t = to_byte(std::round(v * (1.0 - s * (1.0 - f))));
  const std::array<std::array<std::uint8_t, 3>, 6> sectors{
      {{hsv.v, t, p}, {q, hsv.v, p}, {p, hsv.v, t}, {p, q, hsv.v}, {t, p, hsv.v}, {hsv.v, p, q}}};
  std::copy_n(sectors[static_cast<std::size_t>(i % 6)].begin(), 3, rgb);
}

}  // namespace

void adjust_brightness(Image& image, double factor) {
  apply(image, blend_table(0, static_cast<float>(factor)));
}

void adjust_contrast(Image& image, double factor) {
  apply(image, blend_table(mean_luma(image), static_cast<float>(factor)));
}

void adjust_saturation(Image& image, double factor) {
  const auto f = static_cast<float>(factor);
  for (std::size_t i = 0; i < image.pixels.size(); i += 3) {
    std::uint8_t* rgb = image.pixels.data() + i;
    const int grey = luma(rgb);
    for (int c = 0; c < 3; ++c) rgb[c] = blended(grey, rgb[c], f);
  }
}

void adjust_hue(Image& image, double factor) {
  const auto turn = static_cast<std::uint8_t>(static_cast<int>(factor * 255));
  for (std::size_t i = 0; i < image.pixels.size(); i += 3) {
    Hsv hsv = to_hsv(image.pixels.data() + i);
    hsv.h = static_cast<std::uint8_t>(hsv.h + turn);
    to_rgb(hsv, image.pixels.data() + i);
  }
}

void grayscale(Image& image) {
  for (std::size_t i = 0; i < image.pixels.size(); i += 3) {
    std::uint8_t* rgb = image.pixels.data() + i;
    rgb[0] = rgb[1] = rgb[2] = luma(rgb);
  }
}

void flip(Image& image) {
  for (std::int64_t y = 0; y < image.height; ++y) {
    std::uint8_t* row = image.row(y);
    for (std::int64_t left = 0, right = image.width - 1; left < right; ++left, --right)
      std::swap_ranges(row + left * 3, row + left * 3 + 3, row + right * 3);
  }
}

}  // namespace dcl::data
