// Every stage against a plain rendering of its definition, over sizes and values that the golden pictures do
// not have, so that each instruction set's main loop and rest are met.
#include <algorithm>
#include <array>
#include <cmath>

#include <gtest/gtest.h>

#include "data/augment.h"
#include "data/blur.h"
#include "data/color.h"
#include "tests/ops/op_table.h"
#include "tests/support/pictures.h"

namespace dcl::data {
namespace {

using test::drawn_picture;
using test::expect_error;

int clip(int value) { return std::clamp(value, 0, 255); }

// Pillow's Resample.c, one output value.
int resampled(const std::vector<int>& line, int out, int i) {
  const int in = static_cast<int>(line.size());
  const double scale = static_cast<double>(in) / out;
  const double support = std::max(1.0, scale);
  const double centre = (i + 0.5) * scale;
  const int first = std::max(0, static_cast<int>(centre - support + 0.5));
  const int end = std::min(in, static_cast<int>(centre + support + 0.5));
  std::vector<double> weights;
  double sum = 0;
  for (int x = first; x < end; ++x) {
    weights.push_back(std::max(0.0, 1 - std::abs((x - centre + 0.5) * (1.0 / support))));
    sum += weights.back();
  }
  int result = 1 << 21;
  for (int x = first; x < end; ++x)
    result += line[static_cast<std::size_t>(x)] *
              static_cast<int>(0.5 + weights[static_cast<std::size_t>(x - first)] / sum *
                                         static_cast<double>(1 << 22));
  return clip(result >> 22);
}

Image plain_resize(const Image& in, const CropBox& box, std::int64_t width, std::int64_t height) {
  Image narrow(width, box.height);
  Image out(width, height);
  for (std::int64_t c = 0; c < 3; ++c) {
    for (std::int64_t y = 0; y < box.height; ++y) {
      std::vector<int> line;
      for (std::int64_t x = 0; x < box.width; ++x)
        line.push_back(in.row(box.top + y)[(box.left + x) * 3 + c]);
      for (std::int64_t x = 0; x < width; ++x)
        narrow.row(y)[x * 3 + c] =
            static_cast<std::uint8_t>(resampled(line, static_cast<int>(width), static_cast<int>(x)));
    }
    for (std::int64_t x = 0; x < width; ++x) {
      std::vector<int> line;
      for (std::int64_t y = 0; y < box.height; ++y) line.push_back(narrow.row(y)[x * 3 + c]);
      for (std::int64_t y = 0; y < height; ++y)
        out.row(y)[x * 3 + c] =
            static_cast<std::uint8_t>(resampled(line, static_cast<int>(height), static_cast<int>(y)));
    }
  }
  return out;
}

TEST(CropResize, EqualsPillowsFilterForManySizes) {
  const Image image = drawn_picture(97, 83, 1);
  for (const CropBox& box : {CropBox{0, 0, 83, 97}, CropBox{80, 90, 3, 7}, CropBox{82, 0, 1, 97},
                             CropBox{5, 96, 70, 1}, CropBox{3, 4, 32, 32}, CropBox{1, 1, 81, 33}})
    for (const std::int64_t size : {1, 2, 5, 21, 31, 32, 33, 96, 130})
      EXPECT_EQ(crop_resize(image, box, size, size + 1), plain_resize(image, box, size, size + 1))
          << box.width << "x" << box.height << " to " << size;
}

TEST(CropResize, ExtremesStayExtremes) {
  Image white(300, 200);
  std::fill(white.pixels.begin(), white.pixels.end(), std::uint8_t{255});
  const Image small = crop_resize(white, {0, 0, 200, 300}, 37, 41);
  EXPECT_TRUE(std::all_of(small.pixels.begin(), small.pixels.end(), [](int value) { return value == 255; }));
}

TEST(CropResize, RefusesBoxesOutside) {
  const Image image = drawn_picture(10, 8);
  expect_error([&] { crop_resize(image, {0, 0, 9, 10}, 4, 4); }, {"crop: box 10×9", "10×8"});
  expect_error([&] { crop_resize(image, {-1, 0, 2, 2}, 4, 4); }, {"crop: box"});
  expect_error([&] { crop_resize(image, {0, 0, 0, 2}, 4, 4); }, {"crop: box 2×0"});
  expect_error([&] { crop_resize(image, {0, 0, 2, 2}, 0, 4); }, {"resize: to 0×4"});
}

// One box pass over a line with replicated edges.
std::vector<int> box_pass(const std::vector<int>& line, float radius_and_part) {
  const int n = static_cast<int>(line.size());
  const int radius = static_cast<int>(radius_and_part);
  const auto weight = static_cast<std::uint32_t>(static_cast<float>(1 << 24) / (radius_and_part * 2 + 1));
  const std::uint32_t edge = ((1U << 24) - static_cast<std::uint32_t>(radius * 2 + 1) * weight) / 2;
  const auto at = [&](int i) {
    return static_cast<std::uint32_t>(line[static_cast<std::size_t>(std::clamp(i, 0, n - 1))]);
  };
  std::vector<int> out;
  for (int i = 0; i < n; ++i) {
    std::uint32_t inside = 0;
    for (int k = -radius; k <= radius; ++k) inside += at(i + k);
    const std::uint32_t sum = inside * weight + (at(i - radius - 1) + at(i + radius + 1)) * edge;
    out.push_back(static_cast<int>((sum + (1U << 23)) >> 24));
  }
  return out;
}

float box_radius(double sigma) {
  const float radius = static_cast<float>(sigma);
  const float variance = radius * radius / 3;
  const float length = static_cast<float>(std::sqrt(12.0 * variance + 1.0));
  const float whole = static_cast<float>(std::floor((length - 1.0) / 2.0));
  float part = (2 * whole + 1) * (whole * (whole + 1) - 3 * variance);
  part /= 6 * (variance - (whole + 1) * (whole + 1));
  return whole + part;
}

Image plain_blur(Image image, double sigma) {
  const float radius = box_radius(sigma);
  const auto along = [&](std::int64_t lines, std::int64_t n, auto pixel) {
    for (std::int64_t l = 0; l < lines; ++l) {
      std::vector<int> line;
      for (std::int64_t i = 0; i < n; ++i) line.push_back(pixel(l, i));
      for (int pass = 0; pass < 3; ++pass) line = box_pass(line, radius);
      for (std::int64_t i = 0; i < n; ++i)
        pixel(l, i) = static_cast<std::uint8_t>(line[static_cast<std::size_t>(i)]);
    }
  };
  for (std::int64_t c = 0; c < 3; ++c) {
    along(image.height, image.width,
          [&](auto y, auto x) -> std::uint8_t& { return image.row(y)[x * 3 + c]; });
    along(image.width, image.height,
          [&](auto x, auto y) -> std::uint8_t& { return image.row(y)[x * 3 + c]; });
  }
  return image;
}

TEST(GaussianBlur, EqualsBoxPassesForManySizes) {
  for (const std::int64_t width : {1, 2, 5, 11, 22, 33, 64})
    for (const std::int64_t height : {1, 3, 16, 37})
      for (const double sigma : {0.1, 0.7, 1.3, 2.0, 6.5, 60.0}) {
        const Image image = drawn_picture(width, height, 2);
        Image blurred = image;
        gaussian_blur(blurred, sigma);
        EXPECT_EQ(blurred, plain_blur(image, sigma)) << width << "x" << height << ", sigma " << sigma;
      }
}

TEST(GaussianBlur, SigmaZeroChangesNothing) {
  const Image image = drawn_picture(31, 17);
  Image blurred = image;
  gaussian_blur(blurred, 0);
  EXPECT_EQ(blurred, image);
  expect_error([&] { gaussian_blur(blurred, -1); }, {"blur: sigma is -1"});
  expect_error([&] { gaussian_blur(blurred, 60.1); }, {"blur: sigma is 60.1, expected 0 to 60"});
  expect_error([&] { gaussian_blur(blurred, std::nan("")); }, {"blur: sigma is nan"});
}

// Pillow's Convert.c (rgb to HSV and back) around a turn of H in 8 bits, one pixel.
std::array<int, 3> turned(int r, int g, int b, int turn) {
  const int most = std::max({r, g, b});
  const int least = std::min({r, g, b});
  if (most == least) return {most, most, most};
  const float range = static_cast<float>(most - least);
  const float rc = static_cast<float>(most - r) / range;
  const float gc = static_cast<float>(most - g) / range;
  const float bc = static_cast<float>(most - b) / range;
  float h = r == most ? bc - gc : static_cast<float>(g == most ? 2.0 + rc - bc : 4.0 + gc - rc);
  h = static_cast<float>(std::fmod(h / 6.0 + 1.0, 1.0));
  const int hue = (clip(static_cast<int>(h * 255.0)) + turn) & 255;
  const int saturation = clip(static_cast<int>(range / static_cast<float>(most) * 255.0));
  if (saturation == 0) return {most, most, most};
  const int sector = static_cast<int>(std::floor(static_cast<float>(hue) * 6.0 / 255.0));
  const auto f = static_cast<float>(static_cast<float>(hue) * 6.0 / 255.0 - static_cast<float>(sector));
  const auto s = static_cast<float>(static_cast<float>(saturation) / 255.0);
  const auto v = static_cast<float>(most);
  const int p = clip(static_cast<int>(std::round(v * (1.0 - s))));
  const int q = clip(static_cast<int>(std::round(v * (1.0 - s * f))));
  const int t = clip(static_cast<int>(std::round(v * (1.0 - s * (1.0 - f)))));
  switch (sector % 6) {
    case 0:
      return {most, t, p};
    case 1:
      return {q, most, p};
    case 2:
      return {p, most, t};
    case 3:
      return {p, q, most};
    case 4:
      return {t, p, most};
    default:
      return {most, p, q};
  }
}

// Those on a grid, with red from `first` to below `end`.
Image all_colors(int step, int first, int end = 256) {
  std::vector<std::uint8_t> pixels;
  for (int r = first; r < end; r += step)
    for (int g = 0; g < 256; g += step)
      for (int b = 0; b < 256; b += step)
        pixels.insert(pixels.end(), {static_cast<std::uint8_t>(r), static_cast<std::uint8_t>(g),
                                     static_cast<std::uint8_t>(b)});
  Image image;
  image.width = static_cast<std::int64_t>(pixels.size() / 3);
  image.height = 1;
  image.pixels = std::move(pixels);
  return image;
}

// H and S of all 16.7 million colours, and there and back again: what a turn adds has no part in it.
TEST(AdjustHue, EqualsPillowsHsvForEveryColor) {
  for (int r = 0; r < 256; ++r) {
    const Image image = all_colors(1, r, r + 1);
    Image got = image;
    const int turn = r * 37 % 255 - 127;  // another one for each red
    adjust_hue(got, turn / 255.0 + (turn < 0 ? -1e-9 : 1e-9));
    std::size_t wrong = 0;
    for (std::size_t i = 0; i < image.pixels.size(); i += 3) {
      const auto expected = turned(image.pixels[i], image.pixels[i + 1], image.pixels[i + 2], turn);
      for (std::size_t c = 0; c < 3; ++c) wrong += got.pixels[i + c] != expected[c] ? 1 : 0;
    }
    ASSERT_EQ(wrong, 0U) << "red " << r << ", turn " << turn;
  }
}

TEST(AdjustHue, EqualsPillowsHsv) {
  for (const int step : {5, 17})
    for (const double factor : {0.1, -0.1, 0.0, 0.5, 0.031}) {
      const Image image = all_colors(step, static_cast<int>(factor * 100 + 20) % step);
      Image got = image;
      adjust_hue(got, factor);
      const int turn = static_cast<int>(factor * 255);
      std::size_t wrong = 0;
      for (std::size_t i = 0; i < image.pixels.size(); i += 3) {
        const auto expected = turned(image.pixels[i], image.pixels[i + 1], image.pixels[i + 2], turn);
        for (std::size_t c = 0; c < 3; ++c) wrong += got.pixels[i + c] != expected[c] ? 1 : 0;
      }
      EXPECT_EQ(wrong, 0U) << "factor " << factor;
    }
}

// Blend in float, truncated; clipped where the factor is beyond 1.
int blend(int from, int to, double factor) {
  return static_cast<int>(std::clamp(
      static_cast<float>(from) + static_cast<float>(factor) * static_cast<float>(to - from), 0.0F, 255.0F));
}

int luma_of(const Image& image, std::size_t i) {
  return (image.pixels[i] * 19595 + image.pixels[i + 1] * 38470 + image.pixels[i + 2] * 7471 + 32768) >> 16;
}

TEST(Adjust, BlendsTowardsBlackMeanAndLuma) {
  for (const std::int64_t width : {1, 3, 16, 31, 100})
    for (const double factor : {0.0, 0.6, 0.99999, 1.0, 1.4, 3.0}) {
      const Image image = drawn_picture(width, 7, 3);
      Image bright = image;
      Image contrast = image;
      Image saturated = image;
      Image grey = image;
      adjust_brightness(bright, factor);
      adjust_contrast(contrast, factor);
      adjust_saturation(saturated, factor);
      grayscale(grey);
      double sum = 0;
      for (std::size_t i = 0; i < image.pixels.size(); i += 3) sum += luma_of(image, i);
      const int mean = static_cast<int>(sum / (static_cast<double>(image.pixels.size()) / 3) + 0.5);
      for (std::size_t i = 0; i < image.pixels.size(); ++i) {
        const int value = image.pixels[i];
        const int luma = luma_of(image, i / 3 * 3);
        ASSERT_EQ(bright.pixels[i], blend(0, value, factor)) << factor;
        ASSERT_EQ(contrast.pixels[i], blend(mean, value, factor)) << factor;
        ASSERT_EQ(saturated.pixels[i], blend(luma, value, factor)) << factor;
        ASSERT_EQ(grey.pixels[i], luma);
      }
    }
}

// Pillow's ImageOps.solarize: i if i < threshold else 255 - i.
TEST(Solarize, InvertsFromTheThresholdOn) {
  Image all(256, 3);
  for (std::size_t i = 0; i < all.pixels.size(); ++i) all.pixels[i] = static_cast<std::uint8_t>(i % 256);
  for (const int threshold : {0, 1, 127, 128, 129, 255, 256}) {
    Image got = all;
    solarize(got, threshold);
    for (std::size_t i = 0; i < got.pixels.size(); ++i) {
      const int value = all.pixels[i];
      ASSERT_EQ(got.pixels[i], value < threshold ? value : 255 - value) << value << ", from " << threshold;
    }
  }
}

TEST(Flip, MirrorsRows) {
  for (const std::int64_t width : {1, 2, 7, 64}) {
    const Image image = drawn_picture(width, 3);
    Image got = image;
    flip(got);
    for (std::int64_t y = 0; y < 3; ++y)
      for (std::int64_t x = 0; x < width; ++x)
        for (std::int64_t c = 0; c < 3; ++c)
          ASSERT_EQ(got.row(y)[x * 3 + c], image.row(y)[(width - 1 - x) * 3 + c]);
  }
}

TEST(ApplyView, RunsTheStagesInTheirOrder) {
  const Image image = drawn_picture(90, 70, 4);
  ViewParams params;
  params.crop = {5, 6, 40, 50};
  params.jitter = {Jitter{JitterKind::hue, 0.07}, Jitter{JitterKind::contrast, 1.3},
                   Jitter{JitterKind::brightness, 0.7}, Jitter{JitterKind::saturation, 1.2}};
  params.blur_sigma = 1.1;
  params.flip = true;
  for (const bool grey : {false, true}) {
    params.grayscale = grey;
    Image expected = crop_resize(image, params.crop, 32, 32);
    adjust_hue(expected, 0.07);
    adjust_contrast(expected, 1.3);
    adjust_brightness(expected, 0.7);
    adjust_saturation(expected, 1.2);
    if (grey) grayscale(expected);
    gaussian_blur(expected, 1.1);
    flip(expected);
    EXPECT_EQ(apply_view(image, params, 32), expected);
  }
  // After the blur: a blurred negative is not the negative of what was blurred.
  params.solarize_threshold = 100;
  Image expected = crop_resize(image, params.crop, 32, 32);
  for (const auto& jitter : *params.jitter) apply_jitter(expected, jitter);
  grayscale(expected);
  gaussian_blur(expected, 1.1);
  solarize(expected, 100);
  flip(expected);
  EXPECT_EQ(apply_view(image, params, 32), expected);
}

TEST(NormaliseView, SubtractsImageNetsMeanAndDividesByItsDeviation) {
  const double mean[] = {0.485, 0.456, 0.406};
  const double deviation[] = {0.229, 0.224, 0.225};
  const Image view = all_colors(5, 0);
  std::vector<float> out(view.pixels.size());
  normalise_view(view, out.data());
  for (std::size_t i = 0; i < out.size(); ++i) {
    ASSERT_NEAR(out[i], (view.pixels[i] / 255.0 - mean[i % 3]) / deviation[i % 3], 1e-6);
    // To the last bit: ToTensor and Normalize, in float32.
    const float share = static_cast<float>(view.pixels[i]) / 255.0F;
    ASSERT_EQ(out[i], (share - static_cast<float>(mean[i % 3])) / static_cast<float>(deviation[i % 3]));
  }
}

}  // namespace
}  // namespace dcl::data
