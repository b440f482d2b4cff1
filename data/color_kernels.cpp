#include "data/color_kernels.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "tensor/cpu/vector_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "data/color_kernels.cpp"
#include <hwy/foreach_target.h>
// foreach_target.h comes first: it includes this file again for every instruction set.
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace dcl::data {
namespace HWY_NAMESPACE {
namespace {  // several files have kernels of these names

namespace hn = hwy::HWY_NAMESPACE;

// Pixels go in blocks of planes. The loops over a block are plain, so that the compiler makes them as wide as
// the instruction set.
constexpr std::size_t kBlock = 64;

struct Block {
  alignas(64) std::int32_t r[kBlock];
  alignas(64) std::int32_t g[kBlock];
  alignas(64) std::int32_t b[kBlock];
};

struct Bytes {
  alignas(64) std::uint8_t r[kBlock];
  alignas(64) std::uint8_t g[kBlock];
  alignas(64) std::uint8_t b[kBlock];
};

HWY_INLINE void load(const std::uint8_t* pixels, Block& block) {
  const hn::CappedTag<std::uint8_t, kBlock> d;
  Bytes bytes;
  for (std::size_t i = 0; i < kBlock; i += hn::Lanes(d)) {
    hn::Vec<decltype(d)> r;
    hn::Vec<decltype(d)> g;
    hn::Vec<decltype(d)> b;
    hn::LoadInterleaved3(d, pixels + 3 * i, r, g, b);
    hn::Store(r, d, bytes.r + i);
    hn::Store(g, d, bytes.g + i);
    hn::Store(b, d, bytes.b + i);
  }
  for (std::size_t i = 0; i < kBlock; ++i) block.r[i] = bytes.r[i];
  for (std::size_t i = 0; i < kBlock; ++i) block.g[i] = bytes.g[i];
  for (std::size_t i = 0; i < kBlock; ++i) block.b[i] = bytes.b[i];
}

HWY_INLINE void store(const Block& block, std::uint8_t* pixels) {
  const hn::CappedTag<std::uint8_t, kBlock> d;
  Bytes bytes;
  for (std::size_t i = 0; i < kBlock; ++i) bytes.r[i] = static_cast<std::uint8_t>(block.r[i]);
  for (std::size_t i = 0; i < kBlock; ++i) bytes.g[i] = static_cast<std::uint8_t>(block.g[i]);
  for (std::size_t i = 0; i < kBlock; ++i) bytes.b[i] = static_cast<std::uint8_t>(block.b[i]);
  for (std::size_t i = 0; i < kBlock; i += hn::Lanes(d))
    hn::StoreInterleaved3(hn::Load(d, bytes.r + i), hn::Load(d, bytes.g + i), hn::Load(d, bytes.b + i), d,
                          pixels + 3 * i);
}

// Calls `change(block)` for all pixels, the last ones in a block that is filled up with black.
template <class Change>
HWY_INLINE void for_each_block(std::uint8_t* pixels, std::size_t count, const Change& change) {
  Block block;
  for (; count >= kBlock; count -= kBlock, pixels += 3 * kBlock) {
    load(pixels, block);
    change(block);
    store(block, pixels);
  }
  if (count == 0) return;
  std::uint8_t rest[3 * kBlock] = {};
  std::memcpy(rest, pixels, 3 * count);
  load(rest, block);
  change(block);
  store(block, rest);
  std::memcpy(pixels, rest, 3 * count);
}

HWY_INLINE std::int32_t luma_of(const Block& p, std::size_t i) {
  return (p.r[i] * 19595 + p.g[i] * 38470 + p.b[i] * 7471 + 0x8000) >> 16;
}

HWY_INLINE std::int32_t blended(std::int32_t from, std::int32_t to, float factor) {
  const float value = static_cast<float>(from) + factor * static_cast<float>(to - from);
  return static_cast<std::int32_t>(value < 0.0F ? 0.0F : value > 255.0F ? 255.0F : value);
}

void blend_with(std::uint8_t* pixels, std::size_t values, int from, float factor) {
  std::size_t i = 0;
#if HWY_TARGET != HWY_SCALAR
  const hn::CappedTag<float, 16> d;
  const hn::RebindToSigned<decltype(d)> d32;
  const hn::Rebind<std::uint8_t, decltype(d)> bytes;
  const auto start = hn::Set(d, static_cast<float>(from));
  for (; i + hn::Lanes(d) <= values; i += hn::Lanes(d)) {
    const auto to = hn::ConvertTo(d, hn::PromoteTo(d32, hn::LoadU(bytes, pixels + i)));
    const auto value = hn::Add(start, hn::Mul(hn::Set(d, factor), hn::Sub(to, start)));
    hn::StoreU(hn::DemoteTo(bytes, hn::ConvertTo(d32, value)), bytes,
               pixels + i);  // truncates, then saturates
  }
#endif
  for (; i < values; ++i) pixels[i] = static_cast<std::uint8_t>(blended(from, pixels[i], factor));
}

void blend_with_luma(std::uint8_t* pixels, std::size_t count, float factor) {
  for_each_block(pixels, count, [factor](Block& p) HWY_ATTR {
    for (std::size_t i = 0; i < kBlock; ++i) {
      const std::int32_t luma = luma_of(p, i);
      p.r[i] = blended(luma, p.r[i], factor);
      p.g[i] = blended(luma, p.g[i], factor);
      p.b[i] = blended(luma, p.b[i], factor);
    }
  });
}

void to_luma(std::uint8_t* pixels, std::size_t count) {
  for_each_block(pixels, count, [](Block& p) HWY_ATTR {
    for (std::size_t i = 0; i < kBlock; ++i) p.r[i] = p.g[i] = p.b[i] = luma_of(p, i);
  });
}

std::uint64_t sum_of_luma(const std::uint8_t* pixels, std::size_t count) {
  std::uint64_t sum = 0;
  Block block;
  for (; count > 0; count -= std::min(count, kBlock), pixels += 3 * kBlock) {
    if (count >= kBlock) {
      load(pixels, block);
    } else {  // black adds nothing
      std::uint8_t rest[3 * kBlock] = {};
      std::memcpy(rest, pixels, 3 * count);
      load(rest, block);
    }
    std::int32_t of_block = 0;
    for (std::size_t i = 0; i < kBlock; ++i) of_block += luma_of(block, i);
    sum += static_cast<std::uint64_t>(of_block);
  }
  return sum;
}

HWY_INLINE std::int32_t larger(std::int32_t a, std::int32_t b) { return a > b ? a : b; }
HWY_INLINE std::int32_t smaller(std::int32_t a, std::int32_t b) { return a < b ? a : b; }

struct Hsv {
  alignas(64) std::int32_t hue[kBlock];
  alignas(64) std::int32_t saturation[kBlock];
  alignas(64) std::int32_t value[kBlock];
};

// Pillow computes in a mixture of float and double, then cuts off what is behind the point, so the last bit
// counts wherever the exact result is a whole number. These loops are in float alone, twice as wide; a fused
// multiply-add tells on which side of the whole number the exact product lies. (stages_test.cpp holds them
// against the doubles for every colour.)

// x / divisor, correctly rounded: with fused multiply-adds without the division.
HWY_INLINE float divided(float x, float divisor, float reciprocal) {
#if HWY_TARGET == HWY_SCALAR
  static_cast<void>(reciprocal);
  return x / divisor;
#else
  const float quotient = x * reciprocal;
  return std::fma(std::fma(-quotient, divisor, x), reciprocal, quotient);
#endif
}

// trunc(fraction · 255) for a fraction in [0, 1], as if in double.
HWY_INLINE std::int32_t to_byte(float fraction) {
  const auto whole = static_cast<std::int32_t>(fraction * 255.0F);
  const float rest = std::fma(fraction, 255.0F, -static_cast<float>(whole));
  return whole - static_cast<std::int32_t>(rest < 0.0F);
}

// Pillow's h is (b' - g'), (2 + r' - b') or (4 + g' - r') by the largest channel, where c' = (most - c) /
// range. The smallest channel's c' is 1, so h = base ± c' of the channel between. Choices are made with
// masks: the compiler does not vectorise branches.
HWY_INLINE void to_hsv(const Block& p, Hsv& hsv) {
  for (std::size_t i = 0; i < kBlock; ++i) {
    const std::int32_t r = p.r[i];
    const std::int32_t g = p.g[i];
    const std::int32_t b = p.b[i];
    const std::int32_t most = larger(r, larger(g, b));
    const std::int32_t least = smaller(r, smaller(g, b));
    const std::int32_t between = r + g + b - most - least;
    const std::int32_t is_r = -static_cast<std::int32_t>(r == most);
    const std::int32_t is_g = ~is_r & -static_cast<std::int32_t>(g == most);
    const std::int32_t is_b = ~(is_r | is_g);
    const std::int32_t g_least = -static_cast<std::int32_t>(g == least);
    const std::int32_t r_least = -static_cast<std::int32_t>(r == least);
    // r largest: 1 - g' or b' - 1 (g least); g: 1 + r' or 3 - b' (r least); b: 5 - r' or 3 + g' (r least).
    const std::int32_t falls = (is_r & ~g_least) | (is_g & r_least) | (is_b & ~r_least);
    const std::int32_t base =
        1 + (is_r & g_least & -2) + (is_g & r_least & 2) + (is_b & 4) + (is_b & r_least & -2);
    const auto range = static_cast<float>(larger(most - least, 1));
    const float c = static_cast<float>(most - between) / range;
    const float h = static_cast<float>(base) + static_cast<float>(1 + (falls & -2)) * c;
    const float turns = divided(h, 6.0F, 1 / 6.0F);
    const float fraction = h < 0.0F ? 1.0F + turns : turns;
    hsv.hue[i] = to_byte(fraction);
    hsv.saturation[i] = to_byte(static_cast<float>(most - least) / static_cast<float>(larger(most, 1)));
    hsv.value[i] = most;
  }
}

// Pillow's i, p, q and t: of six sectors of the circle that of the hue; the smallest channel; and the one
// between, where it falls and where it rises.
struct Sectors {
  alignas(64) std::int32_t sector[kBlock];
  alignas(64) std::int32_t least[kBlock];
  alignas(64) std::int32_t falling[kBlock];
  alignas(64) std::int32_t rising[kBlock];
};

HWY_INLINE void to_sectors(const Hsv& hsv, std::int32_t turn, Sectors& out) {
  for (std::size_t i = 0; i < kBlock; ++i) {
    const std::int32_t sixfold = ((hsv.hue[i] + turn) & 255) * 6;
    const std::int32_t sector = (sixfold * 257 + 257) >> 16;  // sixfold / 255
    const float f = divided(static_cast<float>(sixfold - sector * 255), 255.0F, 1 / 255.0F);
    const float s = divided(static_cast<float>(hsv.saturation[i]), 255.0F, 1 / 255.0F);
    const auto v = static_cast<float>(hsv.value[i]);
    out.least[i] = static_cast<std::int32_t>(std::fma(-v, s, v) + 0.5F);
    // v (1 - s f), rounded
    const float product = s * f;
    const auto falling = static_cast<std::int32_t>(std::fma(-v, product, v) + 0.5F);
    const float rest = std::fma(-v, product, v + 0.5F - static_cast<float>(falling));
    out.falling[i] =
        falling - static_cast<std::int32_t>(rest < 0.0F) + static_cast<std::int32_t>(rest >= 1.0F);
    // v (1 - s (1 - f)) = v - v s + v s f, rounded; v s in two parts
    const float vs = v * s;
    const float vs_rest = std::fma(v, s, -vs);
    const auto rising = static_cast<std::int32_t>(std::fma(vs, f, v - vs) + 0.5F);
    const float over =
        std::fma(vs, f, v + 0.5F - static_cast<float>(rising) - vs) + std::fma(vs_rest, f, -vs_rest);
    out.rising[i] = rising - static_cast<std::int32_t>(over < 0.0F) + static_cast<std::int32_t>(over >= 1.0F);
    out.sector[i] = sector;  // 6 is 0
  }
}

// A channel has the value in sectors v1 and v2, falls or rises in one each, and is the least in the other
// two.
HWY_INLINE void to_channel(const Hsv& hsv, const Sectors& s, std::int32_t v1, std::int32_t v2,
                           std::int32_t falling, std::int32_t rising, std::int32_t* HWY_RESTRICT out) {
  for (std::size_t i = 0; i < kBlock; ++i) {
    const std::int32_t sector = s.sector[i] & -static_cast<std::int32_t>(s.sector[i] != 6);
    const std::int32_t is_value = -static_cast<std::int32_t>((sector == v1) | (sector == v2));
    const std::int32_t falls = -static_cast<std::int32_t>(sector == falling);
    const std::int32_t rises = -static_cast<std::int32_t>(sector == rising);
    out[i] = (is_value & hsv.value[i]) | (falls & s.falling[i]) | (rises & s.rising[i]) |
             (~(is_value | falls | rises) & s.least[i]);
  }
}

HWY_INLINE void turn_block(Block& p, std::int32_t turn) {
  Hsv hsv;
  Sectors sectors;
  to_hsv(p, hsv);
  to_sectors(hsv, turn, sectors);
  to_channel(hsv, sectors, 0, 5, 1, 4, p.r);
  to_channel(hsv, sectors, 1, 2, 3, 0, p.g);
  to_channel(hsv, sectors, 3, 4, 5, 2, p.b);
}

void turn_hue(std::uint8_t* pixels, std::size_t count, std::uint8_t turn) {
  for_each_block(pixels, count, [turn](Block& p) HWY_ATTR { turn_block(p, turn); });
}

void reverse(std::uint8_t* row, std::size_t count) {
  std::size_t left = 0;
  std::size_t right = count;
#if HWY_TARGET != HWY_SCALAR
  const hn::CappedTag<std::uint8_t, kBlock> d;
  using V = hn::Vec<decltype(d)>;
  alignas(16) static constexpr std::uint8_t kBackwards[16] = {15, 14, 13, 12, 11, 10, 9, 8,
                                                              7,  6,  5,  4,  3,  2,  1, 0};
  const V backwards = hn::LoadDup128(d, kBackwards);
  const auto reversed = [&](V v)
                            HWY_ATTR { return hn::ReverseBlocks(d, hn::TableLookupBytes(v, backwards)); };
  const std::size_t step = hn::Lanes(d);
  for (; left + 2 * step <= right; left += step, right -= step) {
    V first[3];
    V last[3];
    hn::LoadInterleaved3(d, row + 3 * left, first[0], first[1], first[2]);
    hn::LoadInterleaved3(d, row + 3 * (right - step), last[0], last[1], last[2]);
    hn::StoreInterleaved3(reversed(last[0]), reversed(last[1]), reversed(last[2]), d, row + 3 * left);
    hn::StoreInterleaved3(reversed(first[0]), reversed(first[1]), reversed(first[2]), d,
                          row + 3 * (right - step));
  }
#endif
  for (; left + 1 < right; ++left, --right)
    std::swap_ranges(row + 3 * left, row + 3 * left + 3, row + 3 * (right - 1));
}

void normalise(const std::uint8_t* HWY_RESTRICT pixels, std::size_t count, const float* mean,
               const float* deviation, float* HWY_RESTRICT out) {
  constexpr std::size_t kPeriod = 48;  // whole pixels, and whole registers
  alignas(64) float means[kPeriod];
  alignas(64) float deviations[kPeriod];
  alignas(64) float reciprocals[kPeriod];
  for (std::size_t i = 0; i < kPeriod; ++i) {
    means[i] = mean[i % 3];
    deviations[i] = deviation[i % 3];
    reciprocals[i] = 1 / deviation[i % 3];
  }
  const auto value = [&](std::size_t at, std::size_t i) HWY_ATTR {
    const float share = divided(static_cast<float>(pixels[at + i]), 255.0F, 1 / 255.0F);
    out[at + i] = divided(share - means[i], deviations[i], reciprocals[i]);
  };
  std::size_t at = 0;
  for (; at + kPeriod <= 3 * count; at += kPeriod)
    for (std::size_t i = 0; i < kPeriod; ++i) value(at, i);
  for (std::size_t i = 0; at + i < 3 * count; ++i) value(at, i);
}

const ColorKernels& kernels() {
  static const ColorKernels all{blend_with, blend_with_luma, to_luma,   sum_of_luma,
                                turn_hue,   reverse,         normalise, hwy::TargetName(HWY_TARGET)};
  return all;
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace dcl::data
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace dcl::data {

DCL_VECTOR_DISPATCH(kernels, const ColorKernels& color_kernels())

}  // namespace dcl::data
#endif  // HWY_ONCE
