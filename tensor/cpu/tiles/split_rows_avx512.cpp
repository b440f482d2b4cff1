// Rows of float32 as operands of a tile product that sums over rows (transpose.h): split while they are
// transposed or paired, so that parts are written once, where they are read.
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "tensor/cpu/avx512_bf16.h"
#include "tensor/cpu/tiles/split.h"
#include "tensor/cpu/tiles/tile_targets.h"

namespace dcl::tensor::cpu {

#if defined(__x86_64__)

using namespace avx512;  // NOLINT: what the kernels are written with

namespace {

// Two rows of 16 numbers as pairs, rounded; what rounding leaves of them stays in them.
DCL_AVX512_BF16 inline __m512i take_pairs(EvenOdd& rows) {
  const __m512i pairs = round_pairs(rows);
  const EvenOdd rounded = widen_pairs(pairs);
  rows = {_mm512_sub_ps(rows.even, rounded.even), _mm512_sub_ps(rows.odd, rounded.odd)};
  return pairs;
}

DCL_AVX512_BF16 inline __m512 low_pairs(__m512 a, __m512 b) {
  return _mm512_castpd_ps(_mm512_maskz_unpacklo_pd(kAllDoubles, _mm512_castps_pd(a), _mm512_castps_pd(b)));
}
DCL_AVX512_BF16 inline __m512 high_pairs(__m512 a, __m512 b) {
  return _mm512_castpd_ps(_mm512_maskz_unpackhi_pd(kAllDoubles, _mm512_castps_pd(a), _mm512_castps_pd(b)));
}
DCL_AVX512_BF16 inline __m512 even_lanes(__m512 a, __m512 b) {
  return _mm512_maskz_shuffle_f32x4(kAll, a, b, 0x88);
}
DCL_AVX512_BF16 inline __m512 odd_lanes(__m512 a, __m512 b) {
  return _mm512_maskz_shuffle_f32x4(kAll, a, b, 0xDD);
}

// rows[i][j] and rows[j][i] change places.
DCL_AVX512_BF16 inline void transpose_16(__m512 (&rows)[16]) {
  __m512 pairs[16];
#pragma GCC unroll 8
  for (int i = 0; i < 16; i += 2) {
    pairs[i] = _mm512_maskz_unpacklo_ps(kAll, rows[i], rows[i + 1]);
    pairs[i + 1] = _mm512_maskz_unpackhi_ps(kAll, rows[i], rows[i + 1]);
  }
  __m512 fours[16];  // [4i + k]: columns k, 4 + k, 8 + k, 12 + k of rows 4i to 4i + 3
#pragma GCC unroll 4
  for (int i = 0; i < 16; i += 4) {
    fours[i] = low_pairs(pairs[i], pairs[i + 2]);
    fours[i + 1] = high_pairs(pairs[i], pairs[i + 2]);
    fours[i + 2] = low_pairs(pairs[i + 1], pairs[i + 3]);
    fours[i + 3] = high_pairs(pairs[i + 1], pairs[i + 3]);
  }
#pragma GCC unroll 4
  for (int k = 0; k < 4; ++k) {
    const __m512 top_even = even_lanes(fours[k], fours[4 + k]);
    const __m512 top_odd = odd_lanes(fours[k], fours[4 + k]);
    const __m512 bottom_even = even_lanes(fours[8 + k], fours[12 + k]);
    const __m512 bottom_odd = odd_lanes(fours[8 + k], fours[12 + k]);
    rows[k] = even_lanes(top_even, bottom_even);
    rows[4 + k] = even_lanes(top_odd, bottom_odd);
    rows[8 + k] = odd_lanes(top_even, bottom_even);
    rows[12 + k] = odd_lanes(top_odd, bottom_odd);
  }
}

}  // namespace

DCL_AVX512_BF16 void interleave_split_avx512_bf16(const float* const* rows, std::int64_t cols, bfloat16* out,
                                                  std::int64_t chunk_stride, std::int64_t part_stride) {
  for (std::int64_t j = 0; j < cols; j += 16, out += chunk_stride) {
    const __mmask16 mask = first_lanes(cols - j);
    for (std::int64_t i = 0; i < kBlockDepth; i += 2) {
      EvenOdd pair{_mm512_maskz_loadu_ps(mask, rows[i] + j), _mm512_maskz_loadu_ps(mask, rows[i + 1] + j)};
      bfloat16* const to = out + i * 16;
#pragma GCC unroll 3
      for (std::int64_t part = 0; part < kParts<float>; ++part)
        _mm512_storeu_si512(to + part * part_stride, take_pairs(pair));
    }
  }
}

DCL_AVX512_BF16 void transpose_split_avx512_bf16(const float* const* rows, std::int64_t cols, bfloat16* out,
                                                 std::int64_t part_stride) {
  for (std::int64_t j = 0; j < cols; j += 16) {
    const __mmask16 mask = first_lanes(cols - j);
    for (std::int64_t first = 0; first < kBlockDepth; first += 16) {
      __m512 columns[16];
#pragma GCC unroll 16
      for (int i = 0; i < 16; ++i) columns[i] = _mm512_maskz_loadu_ps(mask, rows[first + i] + j);
      transpose_16(columns);
      bfloat16* const to = out + j * kBlockDepth + first;
#pragma GCC unroll 16
      for (int k = 0; k < 16; ++k) {
        if (j + k >= cols) break;
#pragma GCC unroll 3
        for (std::int64_t part = 0; part < kParts<float>; ++part)
          _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + k * kBlockDepth + part * part_stride),
                              take_rounded(columns[k]));
      }
    }
  }
}

#else

void interleave_split_avx512_bf16(const float* const*, std::int64_t, bfloat16*, std::int64_t, std::int64_t) {}
void transpose_split_avx512_bf16(const float* const*, std::int64_t, bfloat16*, std::int64_t) {}

#endif

}  // namespace dcl::tensor::cpu
