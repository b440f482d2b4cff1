#include "data/filter_kernels.h"

#include <algorithm>
#include <cstring>

#include "tensor/cpu/vector_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "data/filter_kernels.cpp"
#include <hwy/foreach_target.h>
// foreach_target.h comes first: it includes this file again for every instruction set.
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace dcl::data {
namespace HWY_NAMESPACE {
namespace {  // several files have kernels of these names

namespace hn = hwy::HWY_NAMESPACE;

constexpr std::int32_t kHalf = 1 << (kWeightBits - 1);
constexpr std::int64_t kChunk = 64;

HWY_INLINE std::uint8_t rounded(std::int32_t sum) {
  const std::int32_t value = sum >> kWeightBits;
  return static_cast<std::uint8_t>(value < 0 ? 0 : value > 255 ? 255 : value);
}

#if HWY_TARGET == HWY_SCALAR
// Without vector instructions: the definition.
void resample_rows(const std::uint8_t* const* rows, const Taps* taps, std::int64_t width,
                   std::uint8_t* const* out) {
  for (std::int64_t r = 0; r < kRowsAtOnce; ++r)
    for (std::int64_t x = 0; x < width; ++x)
      for (std::int64_t c = 0; c < 3; ++c) {
        std::int32_t sum = kHalf;
        for (std::int64_t k = 0; k < taps[x].count; ++k)
          sum += rows[r][(taps[x].first + k) * 3 + c] * taps[x].weights[k];
        out[r][3 * x + c] = rounded(sum);
      }
}

#else

// a[2i] · b[2i] + a[2i+1] · b[2i+1] of 16-bit numbers, to 32 bits.
template <class D32, class V16>
HWY_INLINE hn::Vec<D32> multiply_pairs(D32 d, V16 a, V16 b) {
#if HWY_ARCH_X86
  auto unused = hn::Zero(d);
  return hn::ReorderWidenMulAccumulate(d, a, b, hn::Zero(d), unused);  // there: in order, one instruction
#else
  const auto a32 = hn::BitCast(d, a);
  const auto b32 = hn::BitCast(d, b);
  const auto even =
      hn::Mul(hn::ShiftRight<16>(hn::ShiftLeft<16>(a32)), hn::ShiftRight<16>(hn::ShiftLeft<16>(b32)));
  return hn::Add(even, hn::Mul(hn::ShiftRight<16>(a32), hn::ShiftRight<16>(b32)));
#endif
}

// One 128-bit block of each row, row `first` lowest.
template <class D>
HWY_INLINE hn::Vec<D> load_blocks(D d, const std::uint8_t* const* rows, std::int64_t offset) {
  if constexpr (hn::MaxLanes(D()) > 16) {
    const hn::Half<D> half;
    return hn::Combine(d, load_blocks(half, rows + hn::MaxLanes(half) / 16, offset),
                       load_blocks(half, rows, offset));
  } else {
    return hn::LoadU(d, rows[0] + offset);
  }
}

// Each row has a block of a register: four 32-bit sums, of red, green, blue and nothing.
void resample_rows(const std::uint8_t* const* rows, const Taps* taps, std::int64_t width,
                   std::uint8_t* const* out) {
  const hn::CappedTag<std::uint8_t, 16 * kRowsAtOnce> bytes;
  const hn::Repartition<std::int16_t, decltype(bytes)> d16;
  const hn::Repartition<std::int32_t, decltype(bytes)> d;
  const hn::Rebind<std::uint8_t, decltype(d)> results;
  constexpr std::int64_t rows_here = hn::MaxLanes(bytes) / 16;
  // Of four pixels the first two, and the last two: as 16-bit pairs (r r, g g, b b, - -).
  constexpr std::uint8_t kZero = 0x80;
  alignas(16) static constexpr std::uint8_t kFirst[16] = {0, kZero, 3, kZero, 1,     kZero, 4,     kZero,
                                                          2, kZero, 5, kZero, kZero, kZero, kZero, kZero};
  alignas(16) static constexpr std::uint8_t kLast[16] = {6, kZero, 9,  kZero, 7,     kZero, 10,    kZero,
                                                         8, kZero, 11, kZero, kZero, kZero, kZero, kZero};
  const auto first_two = hn::LoadDup128(bytes, kFirst);
  const auto last_two = hn::LoadDup128(bytes, kLast);
  alignas(64) std::uint8_t sums[16 * kRowsAtOnce];
  const auto weighted = [&](auto& upper, auto& lower, auto block, auto pick,
                            const WeightPair& pair) HWY_ATTR {
    std::int32_t parts[2];
    std::memcpy(parts, &pair, sizeof pair);
    const auto pixels = hn::BitCast(d16, hn::TableLookupBytesOr0(block, pick));
    upper = hn::Add(upper, multiply_pairs(d, pixels, hn::BitCast(d16, hn::Set(d, parts[0]))));
    lower = hn::Add(lower, multiply_pairs(d, pixels, hn::BitCast(d16, hn::Set(d, parts[1]))));
  };
  for (std::int64_t x = 0; x < width; ++x) {
    const Taps& tap = taps[x];
    for (std::int64_t r = 0; r < kRowsAtOnce; r += rows_here) {
      auto upper = hn::Zero(d);
      auto lower = hn::Set(d, kHalf);
      std::int64_t k = 0;
      for (; k + 2 < tap.count; k += 4) {
        const auto block = load_blocks(bytes, rows + r, (tap.first + k) * 3);
        weighted(upper, lower, block, first_two, tap.pairs[k / 2]);
        weighted(upper, lower, block, last_two, tap.pairs[k / 2 + 1]);
      }
      if (k < tap.count)
        weighted(upper, lower, load_blocks(bytes, rows + r, (tap.first + k) * 3), first_two,
                 tap.pairs[k / 2]);
      const auto sum = hn::ShiftRight<kWeightBits>(hn::Add(hn::ShiftLeft<kLowerBits>(upper), lower));
      hn::StoreU(hn::DemoteTo(results, sum), results, sums + 4 * r);  // saturates
    }
    for (std::int64_t r = 0; r < kRowsAtOnce; ++r) std::memcpy(out[r] + 3 * x, sums + 4 * r, 4);
  }
}

// The weights of a box in two parts of 12 bits each, (weight, edge) in every 32 bits.
struct BoxWeights {
  static constexpr int kLower = 12;
  std::int32_t upper;
  std::int32_t lower;

  BoxWeights(std::uint32_t weight, std::uint32_t edge)
      : upper(static_cast<std::int32_t>((edge >> kLower) << 16 | weight >> kLower)),
        lower(static_cast<std::int32_t>((edge & 0xFFF) << 16 | (weight & 0xFFF))) {}
};

// (weight · inside + edge · beyond) / 2^24, rounded, of 16-bit numbers.
template <class D16, class V = hn::Vec<D16>>
HWY_INLINE V box_values(D16 d16, V inside, V beyond, const BoxWeights& weights) {
  const hn::Repartition<std::int32_t, D16> d;
  const hn::Repartition<std::uint32_t, D16> unsigned_d;
  const auto up = [&](V v)
                      HWY_ATTR { return hn::BitCast(d16, hn::ShiftLeft<16>(hn::BitCast(unsigned_d, v))); };
  const auto down = [&](V v)
                        HWY_ATTR { return hn::BitCast(d16, hn::ShiftRight<16>(hn::BitCast(unsigned_d, v))); };
  const auto sum = [&](V pairs) HWY_ATTR {
    const auto upper = multiply_pairs(d, pairs, hn::BitCast(d16, hn::Set(d, weights.upper)));
    const auto lower = multiply_pairs(d, pairs, hn::BitCast(d16, hn::Set(d, weights.lower)));
    const auto whole = hn::Add(hn::ShiftLeft<BoxWeights::kLower>(upper), lower);
    return hn::BitCast(unsigned_d, hn::Add(whole, hn::Set(d, 1 << 23)));
  };
  const auto even = sum(hn::OddEven(up(beyond), inside));
  const auto odd = sum(hn::OddEven(beyond, down(inside)));
  return hn::OddEven(hn::BitCast(d16, hn::ShiftRight<8>(odd)), hn::BitCast(d16, hn::ShiftRight<24>(even)));
}

using Lanes16 = hn::CappedTag<std::int16_t, 32>;

template <class D16>
HWY_INLINE hn::Vec<D16> load_bytes(D16 d16, const std::uint8_t* from) {
  return hn::PromoteTo(d16, hn::LoadU(hn::Rebind<std::uint8_t, D16>(), from));
}

template <class D16>
HWY_INLINE void store_bytes(D16 /*d16*/, hn::Vec<D16> values, std::uint8_t* to) {
  const hn::Rebind<std::uint8_t, D16> bytes;
  hn::StoreU(hn::DemoteTo(bytes, values), bytes, to);
}

#endif

HWY_INLINE void resample_chunk(const std::uint8_t* in, std::int64_t stride, const Taps& taps, std::int64_t n,
                               std::uint8_t* HWY_RESTRICT out) {
  alignas(64) std::int32_t sums[kChunk];
  for (std::int64_t i = 0; i < n; ++i) sums[i] = kHalf;
  for (std::int64_t k = 0; k < taps.count; ++k) {
    const std::uint8_t* HWY_RESTRICT from = in + (taps.first + k) * stride;
    const std::int32_t weight = taps.weights[k];
    for (std::int64_t i = 0; i < n; ++i) sums[i] += from[i] * weight;
  }
  for (std::int64_t i = 0; i < n; ++i) out[i] = rounded(sums[i]);
}

void resample_column(const std::uint8_t* in, std::int64_t stride, const Taps& taps, std::int64_t n,
                     std::uint8_t* out) {
  std::int64_t i = 0;
  for (; i + kChunk <= n; i += kChunk) resample_chunk(in + i, stride, taps, kChunk, out + i);
  if (i < n) resample_chunk(in + i, stride, taps, n - i, out + i);
}

HWY_INLINE std::uint8_t box_value(std::uint32_t inside, std::uint32_t beyond, std::uint32_t weight,
                                  std::uint32_t edge) {
  return static_cast<std::uint8_t>((inside * weight + beyond * edge + (1U << 23)) >> 24);
}

void box_row(const std::uint8_t* in, std::int64_t n, std::int64_t step, std::int64_t radius,
             std::uint32_t weight, std::uint32_t edge, std::uint8_t* HWY_RESTRICT out) {
  const std::int64_t beyond = (radius + 1) * step;
  std::int64_t i = 0;
#if HWY_TARGET != HWY_SCALAR
  const Lanes16 d;
  const BoxWeights weights(weight, edge);
  for (; i + static_cast<std::int64_t>(hn::Lanes(d)) <= n; i += static_cast<std::int64_t>(hn::Lanes(d))) {
    auto inside = load_bytes(d, in + i);
    for (std::int64_t k = step; k < beyond; k += step)
      inside = hn::Add(inside, hn::Add(load_bytes(d, in + i - k), load_bytes(d, in + i + k)));
    const auto both = hn::Add(load_bytes(d, in + i - beyond), load_bytes(d, in + i + beyond));
    store_bytes(d, box_values(d, inside, both, weights), out + i);
  }
#endif
  for (; i < n; ++i) {
    std::uint32_t inside = in[i];
    for (std::int64_t k = step; k < beyond; k += step)
      inside += static_cast<std::uint32_t>(in[i - k]) + in[i + k];
    out[i] = box_value(inside, static_cast<std::uint32_t>(in[i - beyond]) + in[i + beyond], weight, edge);
  }
}

void box_column(const std::uint8_t* leaves, const std::uint8_t* enters, const std::uint8_t* beyond,
                std::int64_t n, std::uint32_t weight, std::uint32_t edge, std::uint16_t* HWY_RESTRICT sums,
                std::uint8_t* HWY_RESTRICT out) {
  std::int64_t i = 0;
#if HWY_TARGET != HWY_SCALAR
  const Lanes16 d;
  const hn::RebindToUnsigned<Lanes16> stored;
  const BoxWeights weights(weight, edge);
  for (; i + static_cast<std::int64_t>(hn::Lanes(d)) <= n; i += static_cast<std::int64_t>(hn::Lanes(d))) {
    const auto left = load_bytes(d, leaves + i);
    const auto before = hn::BitCast(d, hn::LoadU(stored, sums + i));
    const auto inside = hn::Add(before, hn::Sub(load_bytes(d, enters + i), left));
    hn::StoreU(hn::BitCast(stored, inside), stored, sums + i);
    store_bytes(d, box_values(d, inside, hn::Add(left, load_bytes(d, beyond + i)), weights), out + i);
  }
#endif
  for (; i < n; ++i) {
    sums[i] = static_cast<std::uint16_t>(sums[i] + enters[i] - leaves[i]);
    out[i] = box_value(sums[i], static_cast<std::uint32_t>(leaves[i]) + beyond[i], weight, edge);
  }
}

const FilterKernels& kernels() {
  static const FilterKernels all{resample_rows, resample_column, box_row, box_column,
                                 hwy::TargetName(HWY_TARGET)};
  return all;
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace dcl::data
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace dcl::data {

DCL_VECTOR_DISPATCH(kernels, const FilterKernels& filter_kernels())

}  // namespace dcl::data
#endif  // HWY_ONCE
