#include "tensor/cpu/tiles/transpose.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "tensor/cpu/features.h"
#include "tensor/cpu/tiles/row_kernels.h"
#include "tensor/cpu/tiles/tile_targets.h"
#include "tensor/cpu/vector_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tensor/cpu/tiles/transpose.cpp"
#include <hwy/foreach_target.h>
// foreach_target.h comes first: it includes this file again for every instruction set.
#include <hwy/highway.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

HWY_BEFORE_NAMESPACE();
namespace dcl::tensor::cpu {
namespace HWY_NAMESPACE {
namespace {  // several files have kernels of these names

using Bits = std::uint16_t;

HWY_INLINE void transpose_column(const Bits* const* rows, std::int64_t j, Bits* out) {
  for (std::int64_t i = 0; i < kBlockDepth; ++i) out[j * kBlockDepth + i] = rows[i][j];
}

#if HWY_TARGET == HWY_SCALAR

void transpose_eight(const Bits* const* rows, std::int64_t j, Bits* out) {
  for (std::int64_t k = j; k < j + 8; ++k) transpose_column(rows, k, out);
}

#elif HWY_TARGET == HWY_AVX3

// Eight columns: the 8x8 numbers of rows 8·b to 8·b + 7 lie in 128-bit lane b and are transposed there, so
// that every vector ends as one column of all rows.
HWY_INLINE void transpose_eight(const Bits* const* rows, std::int64_t j, Bits* out) {
  const auto lane = [&](std::int64_t row) { return reinterpret_cast<const __m128i*>(rows[row] + j); };
  __m512i v[8];
#pragma GCC unroll 8
  for (int k = 0; k < 8; ++k) {
    v[k] = _mm512_castsi128_si512(_mm_loadu_si128(lane(k)));
    v[k] = _mm512_inserti32x4(v[k], _mm_loadu_si128(lane(k + 8)), 1);
    v[k] = _mm512_inserti32x4(v[k], _mm_loadu_si128(lane(k + 16)), 2);
    v[k] = _mm512_inserti32x4(v[k], _mm_loadu_si128(lane(k + 24)), 3);
  }
  __m512i w[8];  // [2i + h]: rows 2i and 2i + 1, columns 4h to 4h + 3
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    w[2 * i] = _mm512_unpacklo_epi16(v[2 * i], v[2 * i + 1]);
    w[2 * i + 1] = _mm512_unpackhi_epi16(v[2 * i], v[2 * i + 1]);
  }
  __m512i* const to = reinterpret_cast<__m512i*>(out + j * kBlockDepth);
#pragma GCC unroll 2
  for (int h = 0; h < 2; ++h) {
    const __m512i low01 = _mm512_unpacklo_epi32(w[h], w[2 + h]);  // columns 4h and 4h + 1 of rows 0 to 3
    const __m512i high01 = _mm512_unpackhi_epi32(w[h], w[2 + h]);
    const __m512i low23 = _mm512_unpacklo_epi32(w[4 + h], w[6 + h]);
    const __m512i high23 = _mm512_unpackhi_epi32(w[4 + h], w[6 + h]);
    _mm512_storeu_si512(to + 4 * h, _mm512_unpacklo_epi64(low01, low23));
    _mm512_storeu_si512(to + 4 * h + 1, _mm512_unpackhi_epi64(low01, low23));
    _mm512_storeu_si512(to + 4 * h + 2, _mm512_unpacklo_epi64(high01, high23));
    _mm512_storeu_si512(to + 4 * h + 3, _mm512_unpackhi_epi64(high01, high23));
  }
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

HWY_INLINE void transpose_eight(const Bits* const* rows, std::int64_t j, Bits* out) {
  const Words w;
  const Pairs d;
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
}

#endif

// Rows lie far apart, many on one set of the first-level cache: a line of each is copied before the columns
// in it are taken.
void transpose(const Bits* const* rows, std::int64_t cols, Bits* out) {
  constexpr std::int64_t kLine = 32;
  alignas(64) std::array<Bits, kBlockDepth * kLine> lines;
  std::array<const Bits*, kBlockDepth> at;
  for (std::int64_t i = 0; i < kBlockDepth; ++i) at[static_cast<std::size_t>(i)] = lines.data() + i * kLine;
  std::int64_t j = 0;
  for (; j + kLine <= cols; j += kLine) {
    for (std::int64_t i = 0; i < kBlockDepth; ++i) std::copy_n(rows[i] + j, kLine, lines.data() + i * kLine);
    for (std::int64_t k = 0; k < kLine; k += 8) transpose_eight(at.data(), k, out + j * kBlockDepth);
  }
  for (; j + 8 <= cols; j += 8) transpose_eight(rows, j, out);
  for (; j < cols; ++j) transpose_column(rows, j, out);
}

// Sixteen columns of a pair of rows. As numbers of 32 bits, so that the compiler makes vectors of it.
HWY_INLINE void interleave_pair(const Bits* HWY_RESTRICT even, const Bits* HWY_RESTRICT odd,
                                Bits* HWY_RESTRICT out) {
  std::uint32_t pairs[16];
  for (int i = 0; i < 16; ++i)
    pairs[i] = static_cast<std::uint32_t>(even[i]) | static_cast<std::uint32_t>(odd[i]) << 16;
  std::memcpy(out, pairs, sizeof pairs);
}

void interleave(const Bits* const* rows, std::int64_t cols, Bits* out, std::int64_t chunk_stride) {
  std::int64_t j = 0;
  for (; j + 32 <= cols; j += 32, out += 2 * chunk_stride)
    for (std::int64_t i = 0; i < kBlockDepth; i += 2) {
      interleave_pair(rows[i] + j, rows[i + 1] + j, out + i * 16);
      interleave_pair(rows[i] + j + 16, rows[i + 1] + j + 16, out + chunk_stride + i * 16);
    }
  for (; j + 16 <= cols; j += 16, out += chunk_stride)
    for (std::int64_t i = 0; i < kBlockDepth; i += 2)
      interleave_pair(rows[i] + j, rows[i + 1] + j, out + i * 16);
  if (j == cols) return;
  for (std::int64_t i = 0; i < kBlockDepth; i += 2) {
    std::array<Bits, 16> even{};
    std::array<Bits, 16> odd{};
    std::copy(rows[i] + j, rows[i] + cols, even.begin());
    std::copy(rows[i + 1] + j, rows[i + 1] + cols, odd.begin());
    interleave_pair(even.data(), odd.data(), out + i * 16);
  }
}

void pair(const Bits* even, const Bits* odd, std::int64_t cols, Bits* out) {
  std::int64_t j = 0;
  for (; j + 16 <= cols; j += 16) interleave_pair(even + j, odd + j, out + 2 * j);
  for (; j < cols; ++j) {
    out[2 * j] = even[j];
    out[2 * j + 1] = odd[j];
  }
}

// As numbers of 32 bits: the upper half of each, and the lower half of that sixteen further on.
void pair_later(const Bits* pairs, std::int64_t count, Bits* out) {
  namespace hn = hwy::HWY_NAMESPACE;
  const hn::CappedTag<std::uint32_t, 16> d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  const auto* const from = reinterpret_cast<const std::uint32_t*>(pairs);
  auto* const to = reinterpret_cast<std::uint32_t*>(out);
  const std::int64_t last = (count - 1) * 16;
  std::int64_t i = 0;
  for (; i < last; i += lanes)
    hn::StoreU(
        hn::Or(hn::ShiftRight<16>(hn::LoadU(d, from + i)), hn::ShiftLeft<16>(hn::LoadU(d, from + i + 16))), d,
        to + i);
  for (; i < last + 16; i += lanes) hn::StoreU(hn::ShiftRight<16>(hn::LoadU(d, from + i)), d, to + i);
}

const TransposeKernels& describe() {
  static constexpr TransposeKernels all{transpose, interleave, pair, pair_later};
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
  transpose_kernels().interleave(reinterpret_cast<const std::uint16_t* const*>(rows), cols, bits_of(out),
                                 chunk_stride);
}

void pair_rows(const bfloat16* even, const bfloat16* odd, std::int64_t cols, bfloat16* out) {
  transpose_kernels().pair(bits_of(even), bits_of(odd), cols, bits_of(out));
}

void pair_a_row_later(const bfloat16* pairs, std::int64_t count, bfloat16* out) {
  transpose_kernels().pair_later(bits_of(pairs), count, bits_of(out));
}

namespace {

// Some columns of 32 rows, split, in the first-level cache.
class SplitColumns {
 public:
  static constexpr std::int64_t kCols = 32;

  void set(const float* const* rows, std::int64_t column, std::int64_t cols) {
    for (std::int64_t i = 0; i < kBlockDepth; ++i)
      split_to_bfloat16(rows[i] + column, cols, values_.data() + i * kCols, kBlockDepth * kCols);
  }
  const bfloat16* const* part(std::int64_t part) {
    for (std::int64_t i = 0; i < kBlockDepth; ++i)
      rows_[static_cast<std::size_t>(i)] = values_.data() + (part * kBlockDepth + i) * kCols;
    return rows_.data();
  }

 private:
  alignas(64) std::array<bfloat16, kParts<float> * kBlockDepth * kCols> values_;
  std::array<const bfloat16*, kBlockDepth> rows_{};
};

// pack(rows, column, cols, part) for every part of some columns at a time.
template <class Pack>
void split_and_pack(const float* const* rows, std::int64_t cols, Pack&& pack) {
  SplitColumns split;
  for (std::int64_t j = 0; j < cols; j += SplitColumns::kCols) {
    const std::int64_t count = std::min(SplitColumns::kCols, cols - j);
    split.set(rows, j, count);
    for (std::int64_t part = 0; part < kParts<float>; ++part) pack(split.part(part), j, count, part);
  }
}

}  // namespace

void transpose_rows(const float* const* rows, std::int64_t cols, bfloat16* out, std::int64_t part_stride) {
  if (avx512_bf16_allowed()) return transpose_split_avx512_bf16(rows, cols, out, part_stride);
  split_and_pack(rows, cols, [&](auto parts, std::int64_t j, std::int64_t count, std::int64_t part) {
    transpose_rows(parts, count, out + part * part_stride + j * kBlockDepth);
  });
}

void interleave_rows(const float* const* rows, std::int64_t cols, bfloat16* out, std::int64_t chunk_stride,
                     std::int64_t part_stride) {
  if (avx512_bf16_allowed()) return interleave_split_avx512_bf16(rows, cols, out, chunk_stride, part_stride);
  split_and_pack(rows, cols, [&](auto parts, std::int64_t j, std::int64_t count, std::int64_t part) {
    interleave_rows(parts, count, out + part * part_stride + j / 16 * chunk_stride, chunk_stride);
  });
}

}  // namespace dcl::tensor::cpu
#endif  // HWY_ONCE
