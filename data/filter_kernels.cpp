#include "data/filter_kernels.h"

#include <algorithm>

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
constexpr std::int64_t kLanes = kRowsAtOnce * 4;
constexpr std::int64_t kChunk = 64;

HWY_INLINE std::uint8_t rounded(std::int32_t sum) {
  const std::int32_t value = sum >> kWeightBits;
  return static_cast<std::uint8_t>(value < 0 ? 0 : value > 255 ? 255 : value);
}

// The lanes of all rows move together, in as few registers as they need.
void resample_rows(const std::uint8_t* in, const Taps* taps, std::int64_t width, std::uint8_t* const* out) {
  const hn::CappedTag<std::int32_t, kLanes> d;
  const hn::Rebind<std::uint8_t, decltype(d)> bytes_of_d;
  constexpr std::size_t step = hn::MaxLanes(d);
  constexpr std::size_t registers = kLanes / step;
  alignas(64) std::uint8_t bytes[kLanes];
  for (std::int64_t x = 0; x < width; ++x) {
    hn::Vec<decltype(d)> sums[registers];
    for (auto& sum : sums) sum = hn::Set(d, kHalf);
    const std::uint8_t* HWY_RESTRICT pixel = in + taps[x].first * kLanes;
    for (std::int64_t k = 0; k < taps[x].count; ++k, pixel += kLanes) {
      const auto weight = hn::Set(d, taps[x].weights[k]);
      for (std::size_t v = 0; v < registers; ++v) {
        const auto values = hn::PromoteTo(d, hn::LoadU(bytes_of_d, pixel + v * step));
        sums[v] = hn::Add(sums[v], hn::Mul(values, weight));
      }
    }
    for (std::size_t v = 0; v < registers; ++v)  // saturates
      hn::StoreU(hn::DemoteTo(bytes_of_d, hn::ShiftRight<kWeightBits>(sums[v])), bytes_of_d,
                 bytes + v * step);
    for (std::int64_t r = 0; r < kRowsAtOnce; ++r)
      for (std::int64_t c = 0; c < 3; ++c) out[r][3 * x + c] = bytes[4 * r + c];
  }
}

HWY_INLINE void resample_chunk(const std::uint8_t* in, const Taps& taps, std::int64_t row, std::int64_t n,
                               std::uint8_t* HWY_RESTRICT out) {
  alignas(64) std::int32_t sums[kChunk];
  for (std::int64_t i = 0; i < n; ++i) sums[i] = kHalf;
  for (std::int64_t k = 0; k < taps.count; ++k) {
    const std::uint8_t* HWY_RESTRICT from = in + (taps.first + k) * row;
    const std::int32_t weight = taps.weights[k];
    for (std::int64_t i = 0; i < n; ++i) sums[i] += from[i] * weight;
  }
  for (std::int64_t i = 0; i < n; ++i) out[i] = rounded(sums[i]);
}

void resample_column(const std::uint8_t* in, const Taps& taps, std::int64_t n, std::uint8_t* out) {
  std::int64_t i = 0;
  for (; i + kChunk <= n; i += kChunk) resample_chunk(in + i, taps, n, kChunk, out + i);
  if (i < n) resample_chunk(in + i, taps, n, n - i, out + i);
}

HWY_INLINE std::uint8_t box_value(std::uint32_t inside, std::uint32_t beyond, std::uint32_t weight,
                                  std::uint32_t edge) {
  return static_cast<std::uint8_t>((inside * weight + beyond * edge + (1U << 23)) >> 24);
}

void box_row(const std::uint8_t* in, std::int64_t n, std::int64_t step, std::int64_t radius,
             std::uint32_t weight, std::uint32_t edge, std::uint32_t* HWY_RESTRICT sums,
             std::uint8_t* HWY_RESTRICT out) {
  const std::uint8_t* left = in - (radius + 1) * step;
  const std::uint8_t* right = in + (radius + 1) * step;
  if (radius == 0) {  // sigma below √2
    for (std::int64_t i = 0; i < n; ++i)
      out[i] = box_value(in[i], static_cast<std::uint32_t>(left[i]) + right[i], weight, edge);
    return;
  }
  for (std::int64_t i = 0; i < n; ++i)
    sums[i] = static_cast<std::uint32_t>(in[i]) + in[i - step] + in[i + step];
  for (std::int64_t k = 2; k <= radius; ++k)
    for (std::int64_t i = 0; i < n; ++i)
      sums[i] += static_cast<std::uint32_t>(in[i - k * step]) + in[i + k * step];
  for (std::int64_t i = 0; i < n; ++i)
    out[i] = box_value(sums[i], static_cast<std::uint32_t>(left[i]) + right[i], weight, edge);
}

void box_column(const std::uint8_t* leaves, const std::uint8_t* enters, const std::uint8_t* beyond,
                std::int64_t n, std::uint32_t weight, std::uint32_t edge, std::uint32_t* HWY_RESTRICT sums,
                std::uint8_t* HWY_RESTRICT out) {
  for (std::int64_t i = 0; i < n; ++i) {
    sums[i] += static_cast<std::uint32_t>(enters[i]) - leaves[i];
    out[i] = box_value(sums[i], static_cast<std::uint32_t>(leaves[i]) + beyond[i], weight, edge);
  }
}

const FilterKernels& kernels() {
  static constexpr FilterKernels all{resample_rows, resample_column, box_row, box_column};
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
