// The kernels of linear_kernels.h for bfloat16, by vdpbf16ps: a lane sums the products of two pairs. Weights
// are rounded on the way.
#include <algorithm>
#include <array>
#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "tensor/cpu/avx512_bf16.h"
#include "tensor/cpu/prefetch.h"
#include "tensor/cpu/streaming.h"
#include "tensor/ops/linear_kernels.h"

namespace dcl::tensor::cpu {

#if defined(__x86_64__)

using namespace avx512;  // NOLINT: what the kernels are written with

namespace {

constexpr std::int64_t kPairs = 16;          // of a vector
constexpr std::int64_t kTerms = 2 * kPairs;  // of a vector
// Numbers of a row of weights that are rounded at a time, to where they stay in the first-level cache, and
// where the rows do not lie on one set of it.
constexpr std::int64_t kDepth = 2048;
constexpr std::int64_t kStride = kDepth + kTerms;
// Rows of weights that are multiplied at a time: with eight of x 24 of 32 registers hold sums.
constexpr int kOuts = 3;
// Rows of weights, or of their gradient, whose sums go through memory together.
constexpr int kSteps = 8;

DCL_AVX512_BF16 inline __m512 dot(__m512 sums, __m512i a, __m512i b) {
  return _mm512_dpbf16_ps(sums, reinterpret_cast<__m512bh>(a), reinterpret_cast<__m512bh>(b));
}

inline __mmask32 first_halves(std::int64_t count) {
  return static_cast<__mmask32>(count >= 32 ? 0xFFFFFFFF : (1U << count) - 1);
}

// A row of weights, rounded, and zeros up to a whole vector.
DCL_AVX512_BF16 void round_row(const float* from, std::int64_t n, bfloat16* to) {
  for (std::int64_t i = 0; i < n; i += kTerms) {
    const __m512 low = _mm512_maskz_loadu_ps(first_lanes(n - i), from + i);
    const __m512 high =
        _mm512_maskz_loadu_ps(first_lanes(std::max<std::int64_t>(n - i - 16, 0)), from + i + 16);
    _mm512_store_si512(to + i, reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(high, low)));
  }
}

// The upper half added to the lower one.
DCL_AVX512_BF16 inline __m256 add_halves(__m512 x) {
  const __m512d both = _mm512_castps_pd(x);
  return _mm256_add_ps(_mm256_castpd_ps(_mm512_maskz_extractf64x4_pd(kAllDoubles, both, 0)),
                       _mm256_castpd_ps(_mm512_maskz_extractf64x4_pd(kAllDoubles, both, 1)));
}

// The sums of the lanes of four vectors.
DCL_AVX512_BF16 inline __m128 sums_of_lanes(__m512 a, __m512 b, __m512 c, __m512 d) {
  const __m256 two = _mm256_hadd_ps(_mm256_hadd_ps(add_halves(a), add_halves(b)),
                                    _mm256_hadd_ps(add_halves(c), add_halves(d)));
  return _mm_add_ps(_mm256_castps256_ps128(two), _mm256_extractf128_ps(two, 1));
}

// `in` terms of rows of x times rows of w, which are whole vectors; y grows by the sums unless they are the
// `first`.
template <int rows, int outs>
DCL_AVX512_BF16 void dots(std::int64_t in, RowsOf<const bfloat16> x, const bfloat16* w, RowsOf<float> y,
                          bool first) {
  __m512 sums[outs][rows];
#pragma GCC unroll 4
  for (int o = 0; o < outs; ++o)
#pragma GCC unroll 8
    for (int m = 0; m < rows; ++m) sums[o][m] = _mm512_setzero_ps();
  for (std::int64_t i = 0; i < in; i += kTerms) {
    const __mmask32 mask = first_halves(in - i);
    __m512i weight[outs];
#pragma GCC unroll 4
    for (int o = 0; o < outs; ++o) weight[o] = _mm512_load_si512(w + o * kStride + i);
#pragma GCC unroll 8
    for (int m = 0; m < rows; ++m) {
      const __m512i value = _mm512_maskz_loadu_epi16(mask, x.data + m * x.stride + i);
#pragma GCC unroll 4
      for (int o = 0; o < outs; ++o) sums[o][m] = dot(sums[o][m], value, weight[o]);
    }
  }
#pragma GCC unroll 4
  for (int o = 0; o < outs; ++o)
#pragma GCC unroll 2
    for (int m = 0; m < rows; m += 4) {
      const __m512* const four = sums[o] + m;
      alignas(16) std::array<float, 4> each;
      _mm_store_ps(each.data(), rows == 1 ? sums_of_lanes(four[0], four[0], four[0], four[0])
                                          : sums_of_lanes(four[0], four[1], four[2], four[3]));
      for (int i = 0; i < std::min(4, rows - m); ++i) {
        float& to = y.data[(m + i) * y.stride + o];
        to = each[static_cast<std::size_t>(i)] + (first ? 0.0F : to);
      }
    }
}

template <class T>
RowsOf<T> from_row(RowsOf<T> all, std::int64_t row) {
  return {all.data + row * all.stride, all.stride};
}

template <int outs>
DCL_AVX512_BF16 void few_outs(std::int64_t rows, std::int64_t in, RowsOf<const bfloat16> x,
                              RowsOf<const float> w, RowsOf<float> y) {
  alignas(64) std::array<bfloat16, outs * kStride> rounded;
  for (std::int64_t i = 0; i < in; i += kDepth) {
    const std::int64_t depth = std::min(kDepth, in - i);
    const RowsOf<const bfloat16> from{x.data + i, x.stride};
    for (int o = 0; o < outs; ++o) round_row(w.data + o * w.stride + i, depth, rounded.data() + o * kStride);
    std::int64_t m = 0;
    for (; m + 8 <= rows; m += 8)
      dots<8, outs>(depth, from_row(from, m), rounded.data(), from_row(y, m), i == 0);
    for (; m + 4 <= rows; m += 4)
      dots<4, outs>(depth, from_row(from, m), rounded.data(), from_row(y, m), i == 0);
    for (; m < rows; ++m) dots<1, outs>(depth, from_row(from, m), rounded.data(), from_row(y, m), i == 0);
  }
}

void forward(std::int64_t rows, std::int64_t out, std::int64_t in, RowsOf<const bfloat16> x,
             RowsOf<const float> w, RowsOf<float> y) {
  std::int64_t o = 0;
  for (; o + kOuts <= out; o += kOuts) {
    for (int next = 0; next < kOuts; ++next) prefetch_to_l2(w.data + (o + kOuts + next) * w.stride, in);
    few_outs<kOuts>(rows, in, x, from_row(w, o), {y.data + o, y.stride});
  }
  for (; o < out; ++o) few_outs<1>(rows, in, x, from_row(w, o), {y.data + o, y.stride});
}

// The pair of terms at `from` in every lane; of a single one the other is 0.
DCL_AVX512_BF16 inline __m512i repeat_pair(const bfloat16* from, bool single) {
  std::uint32_t pair = from->bits;
  if (!single) std::memcpy(&pair, from, sizeof pair);
  return _mm512_set1_epi32(static_cast<int>(pair));
}

// dx[m,i …] of sixteen columns, those of the mask, grows by `outs` of its terms unless they are the `first`.
template <int outs>
DCL_AVX512_BF16 void add_terms(__mmask16 mask, std::int64_t rows, RowsOf<const bfloat16> dy,
                               RowsOf<const float> w, RowsOf<float> dx, bool first) {
  constexpr int pairs = (outs + 1) / 2;
  __m512i weight[pairs];
#pragma GCC unroll 4
  for (int p = 0; p < pairs; ++p) {
    const __m512 even = _mm512_maskz_loadu_ps(mask, w.data + 2 * p * w.stride);
    weight[p] =
        round_pairs({even, 2 * p + 1 < outs ? _mm512_maskz_loadu_ps(mask, w.data + (2 * p + 1) * w.stride)
                                            : _mm512_setzero_ps()});
  }
  for (std::int64_t m = 0; m < rows; ++m) {
    __m512 sum = first ? _mm512_setzero_ps() : _mm512_maskz_loadu_ps(mask, dx.data + m * dx.stride);
#pragma GCC unroll 4
    for (int p = 0; p < pairs; ++p)
      sum = dot(sum, repeat_pair(dy.data + m * dy.stride + 2 * p, outs == 1), weight[p]);
    _mm512_mask_storeu_ps(dx.data + m * dx.stride, mask, sum);
  }
}

template <int outs>
DCL_AVX512_BF16 void add_rows_of_weight(std::int64_t rows, std::int64_t in, RowsOf<const bfloat16> dy,
                                        RowsOf<const float> w, RowsOf<float> dx, bool first) {
  for (std::int64_t i = 0; i < in; i += 16)
    add_terms<outs>(first_lanes(in - i), rows, dy, {w.data + i, w.stride}, {dx.data + i, dx.stride}, first);
}

void backward_x(std::int64_t rows, std::int64_t out, std::int64_t in, RowsOf<const bfloat16> dy,
                RowsOf<const float> w, RowsOf<float> dx) {
  std::int64_t o = 0;
  for (; o + kSteps <= out; o += kSteps) {
    for (int next = 0; next < kSteps; ++next) prefetch_to_l2(w.data + (o + kSteps + next) * w.stride, in);
    add_rows_of_weight<kSteps>(rows, in, {dy.data + o, dy.stride}, from_row(w, o), dx, o == 0);
  }
  for (; o < out; ++o) add_rows_of_weight<1>(rows, in, {dy.data + o, dy.stride}, from_row(w, o), dx, o == 0);
}

// Pairs of rows: [row/2][column], the first row in the lower half.
using PairedRow = std::array<std::uint32_t, kFewRows / 2>;

PairedRow paired(std::int64_t rows, RowsOf<const bfloat16> from) {
  PairedRow pairs{};
  for (std::int64_t m = 0; m < rows; ++m)
    pairs[static_cast<std::size_t>(m / 2)] |= static_cast<std::uint32_t>(from.data[m * from.stride].bits)
                                              << (m % 2 * 16);
  return pairs;
}

// Sixteen numbers, those of the mask, as the lower halves of words.
DCL_AVX512_BF16 inline __m512i words(__mmask16 mask, const bfloat16* from) {
  return _mm512_maskz_cvtepu16_epi32(kAll, _mm256_maskz_loadu_epi16(mask, from));
}

// dw[o …,i …] of `outs` rows and sixteen columns, those of the mask.
template <int outs>
DCL_AVX512_BF16 void outer_products(__mmask16 mask, std::int64_t rows, const PairedRow* dy,
                                    RowsOf<const bfloat16> x, RowsOf<float> dw, bool stream) {
  __m512 sums[outs];
#pragma GCC unroll 8
  for (int o = 0; o < outs; ++o) sums[o] = _mm512_setzero_ps();
  for (std::int64_t m = 0; m < rows; m += 2) {
    const __m512i upper = m + 1 < rows
                              ? _mm512_maskz_slli_epi32(kAll, words(mask, x.data + (m + 1) * x.stride), 16)
                              : _mm512_setzero_si512();
    const __m512i value = _mm512_or_si512(words(mask, x.data + m * x.stride), upper);
#pragma GCC unroll 8
    for (int o = 0; o < outs; ++o)
      sums[o] =
          dot(sums[o], _mm512_set1_epi32(static_cast<int>(dy[o][static_cast<std::size_t>(m / 2)])), value);
  }
#pragma GCC unroll 8
  for (int o = 0; o < outs; ++o) {
    float* const to = dw.data + o * dw.stride;
    if (stream)
      _mm512_stream_ps(to, sums[o]);
    else
      _mm512_mask_storeu_ps(to, mask, sums[o]);
  }
}

template <int outs>
DCL_AVX512_BF16 void rows_of_gradient(std::int64_t rows, std::int64_t in, RowsOf<const bfloat16> dy,
                                      RowsOf<const bfloat16> x, RowsOf<float> dw, bool stream) {
  std::array<PairedRow, outs> pairs;
  for (int o = 0; o < outs; ++o) pairs[static_cast<std::size_t>(o)] = paired(rows, {dy.data + o, dy.stride});
  for (std::int64_t i = 0; i < in; i += 16)
    outer_products<outs>(first_lanes(in - i), rows, pairs.data(), {x.data + i, x.stride},
                         {dw.data + i, dw.stride}, stream);
}

void backward_weight(std::int64_t rows, std::int64_t out, std::int64_t in, RowsOf<const bfloat16> dy,
                     RowsOf<const bfloat16> x, RowsOf<float> dw, bool stream) {
  std::int64_t o = 0;
  for (; o + kSteps <= out; o += kSteps)
    rows_of_gradient<kSteps>(rows, in, {dy.data + o, dy.stride}, x, from_row(dw, o), stream);
  for (; o < out; ++o) rows_of_gradient<1>(rows, in, {dy.data + o, dy.stride}, x, from_row(dw, o), stream);
  if (stream) flush_streams();
}

}  // namespace

const FewRowsKernels<bfloat16>& few_rows_kernels_avx512() {
  static constexpr FewRowsKernels<bfloat16> kernels{
      .forward = &forward, .backward_x = &backward_x, .backward_weight = &backward_weight};
  return kernels;
}

#else

const FewRowsKernels<bfloat16>& few_rows_kernels_avx512() {
  static constexpr FewRowsKernels<bfloat16> none{};
  return none;
}

#endif

}  // namespace dcl::tensor::cpu
