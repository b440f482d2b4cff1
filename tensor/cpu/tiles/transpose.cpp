#include "tensor/cpu/tiles/transpose.h"

#include <algorithm>

#include "tensor/cpu/tiles/row_kernels.h"
#include "tensor/cpu/vector_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tensor/cpu/tiles/transpose.cpp"
#include <hwy/foreach_target.h>
// foreach_target.h comes first: it includes this file again for every instruction set.
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace dcl::tensor::cpu {
namespace HWY_NAMESPACE {
namespace {  // several files have kernels of these names

using Bits = std::uint16_t;

HWY_INLINE void transpose_column(const Bits* const* rows, std::int64_t j, Bits* out) {
  for (std::int64_t i = 0; i < kBlockDepth; ++i) out[j * kBlockDepth + i] = rows[i][j];
}

#if HWY_TARGET == HWY_SCALAR

void transpose(const Bits* const* rows, std::int64_t cols, Bits* out) {
  for (std::int64_t j = 0; j < cols; ++j) transpose_column(rows, j, out);
}

#else

namespace hn = hwy::HWY_NAMESPACE;
using Words = hn::FixedTag<std::uint16_t, 8>;
using Pairs = hn::FixedTag<std::uint32_t, 4>;
using Quads = hn::FixedTag<std::uint64_t, 2>;

// Four columns of eight rows: pairs of rows [4 pairs][4 columns] the other way round.
HWY_INLINE void transpose_pairs(const hn::Vec<Pairs> (&p)[4], Bits* out) {
  const Pairs d;
  const Quads q;
  const Words w;
  const auto low01 = hn::BitCast(q, hn::InterleaveLower(d, p[0], p[1]));  // columns 0 and 1 of pairs 0 and 1
  const auto low23 = hn::BitCast(q, hn::InterleaveLower(d, p[2], p[3]));
  const auto high01 = hn::BitCast(q, hn::InterleaveUpper(d, p[0], p[1]));
  const auto high23 = hn::BitCast(q, hn::InterleaveUpper(d, p[2], p[3]));
  hn::StoreU(hn::BitCast(w, hn::InterleaveLower(q, low01, low23)), w, out);
  hn::StoreU(hn::BitCast(w, hn::InterleaveUpper(q, low01, low23)), w, out + kBlockDepth);
  hn::StoreU(hn::BitCast(w, hn::InterleaveLower(q, high01, high23)), w, out + 2 * kBlockDepth);
  hn::StoreU(hn::BitCast(w, hn::InterleaveUpper(q, high01, high23)), w, out + 3 * kBlockDepth);
}

void transpose(const Bits* const* rows, std::int64_t cols, Bits* out) {
  const Words w;
  const Pairs d;
  std::int64_t j = 0;
  for (; j + 8 <= cols; j += 8)
    for (std::int64_t i = 0; i < kBlockDepth; i += 8) {
      hn::Vec<Pairs> low[4];
      hn::Vec<Pairs> high[4];
#pragma GCC unroll 4
      for (int k = 0; k < 4; ++k) {
        const auto even = hn::LoadU(w, rows[i + 2 * k] + j);
        const auto odd = hn::LoadU(w, rows[i + 2 * k + 1] + j);
        low[k] = hn::BitCast(d, hn::InterleaveLower(w, even, odd));
        high[k] = hn::BitCast(d, hn::InterleaveUpper(w, even, odd));
      }
      transpose_pairs(low, out + j * kBlockDepth + i);
      transpose_pairs(high, out + (j + 4) * kBlockDepth + i);
    }
  for (; j < cols; ++j) transpose_column(rows, j, out);
}

#endif

void interleave(const Bits* HWY_RESTRICT even, const Bits* HWY_RESTRICT odd, std::int64_t cols,
                Bits* HWY_RESTRICT out, std::int64_t chunk_stride) {
  std::int64_t j = 0;
  for (; j + 16 <= cols; j += 16, out += chunk_stride)
    for (std::int64_t i = 0; i < 16; ++i) {
      out[2 * i] = even[j + i];
      out[2 * i + 1] = odd[j + i];
    }
  if (j == cols) return;
  std::fill_n(out, 32, Bits{0});
  for (std::int64_t i = 0; j + i < cols; ++i) {
    out[2 * i] = even[j + i];
    out[2 * i + 1] = odd[j + i];
  }
}

const TransposeKernels& describe() {
  static constexpr TransposeKernels all{transpose, interleave};
  return all;
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace dcl::tensor::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace dcl::tensor::cpu {

DCL_VECTOR_DISPATCH(describe, const TransposeKernels& transpose_kernels())

void transpose_rows(const bfloat16* const* rows, std::int64_t cols, bfloat16* out) {
  transpose_kernels().transpose(reinterpret_cast<const std::uint16_t* const*>(rows), cols, bits_of(out));
}

void interleave_rows(const bfloat16* const* rows, std::int64_t cols, bfloat16* out,
                     std::int64_t chunk_stride) {
  transpose_kernels().interleave(bits_of(rows[0]), bits_of(rows[1]), cols, bits_of(out), chunk_stride);
}

}  // namespace dcl::tensor::cpu
#endif  // HWY_ONCE
