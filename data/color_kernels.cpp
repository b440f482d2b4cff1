#include "data/color_kernels.h"

#include <algorithm>
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
  for (std::size_t i = 0; i < values; ++i)
    pixels[i] = static_cast<std::uint8_t>(blended(from, pixels[i], factor));
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
  alignas(64) std::int32_t hue[kBlock];  // 8 bits
  alignas(64) float saturation[kBlock];  // 8 bits / 255
  alignas(64) std::int32_t value[kBlock];
};

// Pillow's h is (b' - g'), (2 + r' - b') or (4 + g' - r') by the largest channel, where c' = (most - c) /
// range; sums and differences of such floats are exact in double, so one formula serves all three. Choices
// are made with masks: the compiler does not vectorise branches.
HWY_INLINE void to_hsv(const Block& p, Hsv& hsv) {
  for (std::size_t i = 0; i < kBlock; ++i) {
    const std::int32_t r = p.r[i];
    const std::int32_t g = p.g[i];
    const std::int32_t b = p.b[i];
    const std::int32_t most = larger(r, larger(g, b));
    const std::int32_t least = smaller(r, smaller(g, b));
    const std::int32_t red = -static_cast<std::int32_t>(r == most);
    const std::int32_t green = ~red & -static_cast<std::int32_t>(g == most);
    const std::int32_t blue = ~red & ~green;
    const std::int32_t plus = (red & b) | (green & r) | (blue & g);
    const std::int32_t minus = (red & g) | (green & b) | (blue & r);
    const auto base = static_cast<float>((green & 2) | (blue & 4));
    const auto range = static_cast<float>(larger(most - least, 1));  // a grey pixel's hue is never seen
    const double up = static_cast<double>(static_cast<float>(most - plus) / range);
    const double down = static_cast<double>(static_cast<float>(most - minus) / range);
    const auto h = static_cast<float>(static_cast<double>(base) + up - down);
    const double turns = static_cast<double>(h) / 6.0 + 1.0;
    const auto fraction = static_cast<float>(turns - static_cast<double>(static_cast<std::int32_t>(turns)));
    hsv.hue[i] = static_cast<std::int32_t>(static_cast<double>(fraction) * 255.0);
    const float s = static_cast<float>(most - least) / static_cast<float>(larger(most, 1));
    const auto s_byte = static_cast<std::int32_t>(static_cast<double>(s) * 255.0);
    hsv.saturation[i] = static_cast<float>(static_cast<double>(s_byte) / 255.0);
    hsv.value[i] = most;
  }
}

// Rounds a number that is not negative. (Not exact just below 0.5, which no H, S and V give.)
HWY_INLINE std::int32_t rounded(double value) { return static_cast<std::int32_t>(value + 0.5); }

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
    const std::int32_t h = (hsv.hue[i] + turn) & 255;
    const double sixth = static_cast<double>(h) * 6.0 / 255.0;
    const auto sector = static_cast<std::int32_t>(sixth);
    const auto f = static_cast<float>(sixth - static_cast<double>(sector));
    const auto v = static_cast<double>(hsv.value[i]);
    const float s = hsv.saturation[i];
    out.least[i] = rounded(v * (1.0 - static_cast<double>(s)));
    out.falling[i] = rounded(v * (1.0 - static_cast<double>(s * f)));
    out.rising[i] = rounded(v * (1.0 - static_cast<double>(s) * (1.0 - static_cast<double>(f))));
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

const ColorKernels& kernels() {
  static constexpr ColorKernels all{blend_with, blend_with_luma, to_luma, sum_of_luma, turn_hue};
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
