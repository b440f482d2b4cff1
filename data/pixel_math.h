// The arithmetic of single pixels, for the host and the device: what data/color_kernels.cpp does in vectors,
// to the same bytes. Products that enter a sum are rounded on their own, wherever a compiler would like to
// fuse them.
#pragma once

#include <cmath>
#include <cstdint>

#include "tensor/host_device.h"

namespace dcl::data {

/// ImageNet's, of red, green and blue.
DCL_HOST_DEVICE constexpr float channel_mean(int channel) {
  return channel == 0 ? 0.485F : channel == 1 ? 0.456F : 0.406F;
}
DCL_HOST_DEVICE constexpr float channel_deviation(int channel) {
  return channel == 0 ? 0.229F : channel == 1 ? 0.224F : 0.225F;
}

/// a · b, rounded: no part of a fused multiply-add.
DCL_HOST_DEVICE inline float product(float a, float b) {
#ifdef __CUDA_ARCH__
  return __fmul_rn(a, b);
#else
  return a * b;  // without contraction: cmake/DclOptions.cmake
#endif
}

/// (value / 255 - mean) / deviation.
DCL_HOST_DEVICE inline float normalised(int value, int channel) {
  const float share = static_cast<float>(value) / 255.0F;
  return (share - channel_mean(channel)) / channel_deviation(channel);
}

struct Rgb {
  std::int32_t r, g, b;
};

DCL_HOST_DEVICE inline std::int32_t luma_of(Rgb p) {
  return (p.r * 19595 + p.g * 38470 + p.b * 7471 + 0x8000) >> 16;
}

/// The mean of `count` lumas from their sum, rounded as Pillow does it for ImageEnhance.Contrast.
DCL_HOST_DEVICE inline std::int32_t mean_luma(std::uint64_t sum, std::uint64_t count) {
  return static_cast<std::int32_t>((2 * sum + count) / (2 * count));
}

/// from + factor · (to - from), clipped and truncated to 8 bits.
DCL_HOST_DEVICE inline std::int32_t blended(std::int32_t from, std::int32_t to, float factor) {
  const float value = static_cast<float>(from) + product(factor, static_cast<float>(to - from));
  return static_cast<std::int32_t>(value < 0.0F ? 0.0F : value > 255.0F ? 255.0F : value);
}

DCL_HOST_DEVICE inline Rgb blended(Rgb from, Rgb to, float factor) {
  return {blended(from.r, to.r, factor), blended(from.g, to.g, factor), blended(from.b, to.b, factor)};
}

struct Hsv {
  std::int32_t hue, saturation, value;  // 8 bits each
};

/// x / divisor, correctly rounded, for the divisors and numbers below.
DCL_HOST_DEVICE inline float divided(float x, float divisor, float reciprocal) {
  const float quotient = product(x, reciprocal);
  return std::fma(std::fma(-quotient, divisor, x), reciprocal, quotient);
}

/// trunc(fraction · 255) for a fraction in [0, 1], as if in double.
DCL_HOST_DEVICE inline std::int32_t fraction_to_byte(float fraction) {
  const auto whole = static_cast<std::int32_t>(product(fraction, 255.0F));
  return whole - (std::fma(fraction, 255.0F, -static_cast<float>(whole)) < 0.0F ? 1 : 0);
}

/// Pillow's h is (b' - g'), (2 + r' - b') or (4 + g' - r') by the largest channel, where c' = (most - c) /
/// range. The smallest channel's c' is 1, so h = base ± c' of the channel between.
DCL_HOST_DEVICE inline Hsv to_hsv(Rgb p) {
  const auto larger = [](std::int32_t a, std::int32_t b) { return a > b ? a : b; };
  const auto smaller = [](std::int32_t a, std::int32_t b) { return a < b ? a : b; };
  const std::int32_t most = larger(p.r, larger(p.g, p.b));
  const std::int32_t least = smaller(p.r, smaller(p.g, p.b));
  const std::int32_t between = p.r + p.g + p.b - most - least;
  float base = 0;
  bool falls = false;
  if (p.r == most) {
    falls = p.g != least;
    base = falls ? 1.0F : -1.0F;
  } else if (p.g == most) {
    falls = p.r == least;
    base = falls ? 3.0F : 1.0F;
  } else {
    falls = p.r != least;
    base = falls ? 5.0F : 3.0F;
  }
  const float c = static_cast<float>(most - between) / static_cast<float>(larger(most - least, 1));
  const float h = falls ? base - c : base + c;
  const float turns = divided(h, 6.0F, 1 / 6.0F);
  return {fraction_to_byte(h < 0.0F ? 1.0F + turns : turns),
          fraction_to_byte(static_cast<float>(most - least) / static_cast<float>(larger(most, 1))), most};
}

/// By sectors of the circle, six; p, q and t are Pillow's: v (1 - s), v (1 - s f) and v (1 - s (1 - f)),
/// rounded as if in double: fused multiply-adds tell on which side of the half the exact product lies.
DCL_HOST_DEVICE inline Rgb to_rgb(Hsv hsv) {
  const std::int32_t sixfold = hsv.hue * 6;
  const std::int32_t sector = sixfold / 255;
  const float f = divided(static_cast<float>(sixfold - sector * 255), 255.0F, 1 / 255.0F);
  const float s = divided(static_cast<float>(hsv.saturation), 255.0F, 1 / 255.0F);
  const auto v = static_cast<float>(hsv.value);
  const auto p = static_cast<std::int32_t>(std::fma(-v, s, v) + 0.5F);
  const float sf = product(s, f);
  auto q = static_cast<std::int32_t>(std::fma(-v, sf, v) + 0.5F);
  const float rest = std::fma(-v, sf, v + 0.5F - static_cast<float>(q));
  q += (rest >= 1.0F ? 1 : 0) - (rest < 0.0F ? 1 : 0);
  const float vs = product(v, s);
  const float vs_rest = std::fma(v, s, -vs);
  auto t = static_cast<std::int32_t>(std::fma(vs, f, v - vs) + 0.5F);
  const float over = std::fma(vs, f, v + 0.5F - static_cast<float>(t) - vs) + std::fma(vs_rest, f, -vs_rest);
  t += (over >= 1.0F ? 1 : 0) - (over < 0.0F ? 1 : 0);
  switch (sector) {
    case 1:
      return {q, hsv.value, p};
    case 2:
      return {p, hsv.value, t};
    case 3:
      return {p, q, hsv.value};
    case 4:
      return {t, p, hsv.value};
    case 5:
      return {hsv.value, p, q};
    default:  // 0, and 6
      return {hsv.value, t, p};
  }
}

/// The hue turned by `turn` of 256.
DCL_HOST_DEVICE inline Rgb turned(Rgb p, std::int32_t turn) {
  Hsv hsv = to_hsv(p);
  hsv.hue = (hsv.hue + turn) & 255;
  return to_rgb(hsv);
}

/// (weight · inside + edge · beyond) / 2^24, rounded.
DCL_HOST_DEVICE inline std::uint8_t box_value(std::uint32_t inside, std::uint32_t weight,
                                              std::uint32_t beyond, std::uint32_t edge) {
  return static_cast<std::uint8_t>((inside * weight + beyond * edge + (1U << 23)) >> 24);
}

}  // namespace dcl::data
