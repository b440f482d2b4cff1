#include <bit>
#include <type_traits>

#include "tensor/cpu/streaming.h"
#include "tensor/cpu/tiles/tile_targets.h"
#include "tensor/cpu/vector_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tensor/cpu/tiles/tile_vectors.cpp"
#include <hwy/foreach_target.h>
// foreach_target.h comes first: it includes this file again for every instruction set.
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace dcl::tensor::cpu {
namespace HWY_NAMESPACE {
namespace {  // several files have kernels of these names

namespace hn = hwy::HWY_NAMESPACE;

using Floats = hn::CappedTag<float, 16>;
using Words = hn::RebindToUnsigned<Floats>;
constexpr int kLanes = HWY_LANES(float) < 16 ? HWY_LANES(float) : 16;
constexpr int kVectors = 16 / kLanes;  // of a row of half a tile
// Sums that stay in registers: 14 of 32, or 12 of 16.
constexpr int kRows = HWY_TARGET == HWY_AVX3 ? 14 : 6;

// Half a tile: its even terms, then its odd ones.
HWY_INLINE void multiply_half(const TileOperands& o, const bfloat16* all_b, float* c) {
  const Floats d;
  const Words words;
  hn::Vec<Floats> sums[kRows][kVectors];
#pragma GCC unroll 16
  for (auto& row : sums)
#pragma GCC unroll 16
    for (auto& sum : row) sum = hn::Zero(d);
  for (std::int64_t block = 0; block < o.blocks; ++block) {
    const bfloat16* const a = o.a + o.a_at[block];
    const bfloat16* const b = all_b + o.b_at[block];
    for (std::int64_t p = 0; p < o.pairs; ++p) {
      hn::Vec<Floats> even[kVectors];
      hn::Vec<Floats> odd[kVectors];
#pragma GCC unroll 16
      for (int v = 0; v < kVectors; ++v) {
        const auto* const at = reinterpret_cast<const std::uint32_t*>(b + p * 32) + v * kLanes;
        const auto pairs = hn::LoadU(words, at);
        even[v] = hn::BitCast(d, hn::ShiftLeft<16>(pairs));
        odd[v] = hn::BitCast(d, hn::And(pairs, hn::Set(words, 0xFFFF0000U)));
      }
#pragma GCC unroll 16
      for (int i = 0; i < kRows; ++i) {
        const bfloat16* const at = a + i * o.a_stride + p * o.a_pair_stride;
        const auto a_even = hn::Set(d, static_cast<float>(at[0]));
        const auto a_odd = hn::Set(d, static_cast<float>(at[1]));
#pragma GCC unroll 16
        for (int v = 0; v < kVectors; ++v)
          sums[i][v] = hn::MulAdd(a_odd, odd[v], hn::MulAdd(a_even, even[v], sums[i][v]));
      }
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < kRows; ++i)
#pragma GCC unroll 16
    for (int v = 0; v < kVectors; ++v) hn::StoreU(sums[i][v], d, c + i * kTileCols + v * kLanes);
}

void multiply(const TileOperands& o, float* c) {
  multiply_half(o, o.b, c);
  multiply_half(o, o.b + o.b_half, c + 16);
}

// One row, for each of what may follow the sum a loop of its own.
template <bool with_bias, bool with_residual, bool relu, class T>
void store_row(const float* HWY_RESTRICT c, std::int64_t cols, const float* HWY_RESTRICT bias,
               const T* residual, T* y) {
  DCL_SAME_PLACES  // the residual may be y
  for (std::int64_t j = 0; j < cols; ++j) {
    float u = c[j];
    if constexpr (with_bias) u += bias[j];
    if constexpr (with_residual) u += widened(residual[j]);
    if constexpr (relu) u = u < 0 ? 0 : u;  // not max(): NaN has to come through
    y[j] = static_cast<T>(u);
  }
}

template <class T>
void store(const float* c, TileRoom room, const StoreEnd<T>& end, T* const* y) {
  using Row = void(const float*, std::int64_t, const float*, const T*, T*);
  static constexpr Row* kRowFunctions[] = {
      &store_row<false, false, false, T>, &store_row<false, false, true, T>,
      &store_row<false, true, false, T>,  &store_row<false, true, true, T>,
      &store_row<true, false, false, T>,  &store_row<true, false, true, T>,
      &store_row<true, true, false, T>,   &store_row<true, true, true, T>};
  const int which = (end.bias != nullptr ? 4 : 0) + (end.residual != nullptr ? 2 : 0) + (end.relu ? 1 : 0);
  for (std::int64_t i = 0; i < room.rows; ++i, c += kTileCols) {
    if (y[i] == nullptr) continue;
    if constexpr (std::is_same_v<T, float>)
      if (which == 0 && end.stream && room.cols == kTileCols && begins_line(y[i])) {
        const Floats d;
        for (int j = 0; j < kTileCols; j += kLanes) hn::Stream(hn::LoadU(d, c + j), d, y[i] + j);
        continue;
      }
    kRowFunctions[which](c, room.cols, end.bias, end.residual == nullptr ? nullptr : end.residual[i], y[i]);
  }
}

void add(const float* c, TileRoom room, float* const* y) {
  for (std::int64_t i = 0; i < room.rows; ++i, c += kTileCols)
    for (std::int64_t j = 0; j < room.cols; ++j) y[i][j] += c[j];
}

const TileKernel& describe() {
  static const TileKernel kernel{.rows = kRows,
                                 .multiply = &multiply,
                                 .store_bfloat16 = &store<bfloat16>,
                                 .store_float = &store<float>,
                                 .add_float = &add,
                                 .any_stride = false,
                                 .any_pairs = true,
                                 .name = hwy::TargetName(HWY_TARGET)};
  return kernel;
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace dcl::tensor::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace dcl::tensor::cpu {

DCL_VECTOR_DISPATCH(describe, const TileKernel& vector_tile_kernel())

}  // namespace dcl::tensor::cpu
#endif  // HWY_ONCE
