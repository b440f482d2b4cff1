// The loops of batch_norm_act_kernels.h for bfloat16, on processors that round two vectors to it in one
// instruction: the same operations in the same order, and so the same bits but for denormal results, which
// become zeros. 32 columns are even ones and odd ones, which are widened in their places.
#include <algorithm>
#include <array>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "tensor/cpu/avx512_bf16.h"
#include "tensor/cpu/prefetch.h"
#include "tensor/cpu/streaming.h"
#include "tensor/ops/batch_norm_act_kernels.h"

namespace dcl::tensor::cpu {

#if defined(__x86_64__)

using namespace avx512;  // NOLINT: what the kernels are written with

namespace {

constexpr std::int64_t kColumns = 32;  // of two vectors
constexpr std::int64_t kChannels = kBatchNormChannels;
constexpr auto kAhead = static_cast<std::int64_t>(kBatchNormAheadBytes / sizeof(bfloat16));

DCL_AVX512_BF16 inline EvenOdd load(const bfloat16* from) { return widen_pairs(_mm512_loadu_si512(from)); }

DCL_AVX512_BF16 inline EvenOdd operator-(EvenOdd a, EvenOdd b) {
  return {_mm512_sub_ps(a.even, b.even), _mm512_sub_ps(a.odd, b.odd)};
}
DCL_AVX512_BF16 inline EvenOdd operator+(EvenOdd a, EvenOdd b) {
  return {_mm512_add_ps(a.even, b.even), _mm512_add_ps(a.odd, b.odd)};
}
DCL_AVX512_BF16 inline EvenOdd operator*(EvenOdd a, EvenOdd b) {
  return {_mm512_mul_ps(a.even, b.even), _mm512_mul_ps(a.odd, b.odd)};
}

DCL_AVX512_BF16 inline EvenOdd relu_of(EvenOdd u) {
  return {avx512::relu_of(u.even), avx512::relu_of(u.odd)};
}

// g, or 0 where u <= 0 (not where u is NaN).
DCL_AVX512_BF16 inline EvenOdd behind_relu(EvenOdd g, EvenOdd u) {
  const __m512 zero = _mm512_setzero_ps();
  return {_mm512_maskz_mov_ps(_mm512_cmp_ps_mask(u.even, zero, _CMP_NLE_UQ), g.even),
          _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(u.odd, zero, _CMP_NLE_UQ), g.odd)};
}

// A constant of some channels: of each 32 the even ones, then the odd ones.
class Constants {
 public:
  DCL_AVX512_BF16 void set(const float* values, std::int64_t count) {
    const __m512i evens = _mm512_set_epi32(30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
    const __m512i odds = _mm512_set_epi32(31, 29, 27, 25, 23, 21, 19, 17, 15, 13, 11, 9, 7, 5, 3, 1);
    for (std::int64_t c = 0; c < count; c += kColumns) {
      const __m512 first = _mm512_loadu_ps(values + c);
      const __m512 second = _mm512_loadu_ps(values + c + 16);
      _mm512_store_ps(values_.data() + c, _mm512_permutex2var_ps(first, evens, second));
      _mm512_store_ps(values_.data() + c + 16, _mm512_permutex2var_ps(first, odds, second));
    }
  }
  DCL_AVX512_BF16 EvenOdd at(std::int64_t c) const {
    return {_mm512_load_ps(values_.data() + c), _mm512_load_ps(values_.data() + c + 16)};
  }

 private:
  alignas(64) std::array<float, kChannels> values_;
};

struct AffineConstants {
  Constants mean, scale, bias;

  DCL_AVX512_BF16 void set(const BatchNormAffine<float>& affine, std::int64_t first, std::int64_t count) {
    mean.set(affine.mean + first, count);
    scale.set(affine.scale + first, count);
    bias.set(affine.bias + first, count);
  }
};

// body(first, count) for blocks of channels.
template <class F>
void for_channels(std::int64_t channels, F body) {
  for (std::int64_t c = 0; c < channels; c += kChannels) body(c, std::min(kChannels, channels - c));
}

template <bool with_residual, bool relu>
DCL_AVX512_BF16 void apply_rows(BatchNormRows size, std::int64_t count, const bfloat16* x,
                                const bfloat16* residual, const AffineConstants& of, bool stream,
                                bfloat16* y) {
  for (std::int64_t r = 0; r < size.rows; ++r) {
    const std::int64_t row = r * size.channels;
    const bool streams = stream && begins_line(y + row);
    for (std::int64_t c = 0; c < count; c += kColumns) {
      prefetch_to_l1(x + row + c + kAhead, kColumns);
      if constexpr (with_residual) prefetch_to_l1(residual + row + c + kAhead, kColumns);
      EvenOdd u = (load(x + row + c) - of.mean.at(c)) * of.scale.at(c) + of.bias.at(c);
      if constexpr (with_residual) u = u + load(residual + row + c);
      write_line(round_pairs(relu ? relu_of(u) : u), y + row + c, streams);
    }
  }
}

// Adds eight numbers, half 0 or 1 of x, to doubles.
template <int half>
DCL_AVX512_BF16 inline void add_doubles(__m512 x, double* to) {
  const __m256d eight = _mm512_maskz_extractf64x4_pd(kAllDoubles, _mm512_castps_pd(x), half);
  const __m512d wide = _mm512_maskz_cvtps_pd(kAllDoubles, _mm256_castpd_ps(eight));
  _mm512_storeu_pd(to + 8 * half, _mm512_add_pd(_mm512_loadu_pd(to + 8 * half), wide));
}

// Adds 32.
DCL_AVX512_BF16 inline void add_doubles(EvenOdd x, double* to) {
  const __m512i low = _mm512_set_epi32(23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
  const __m512i high = _mm512_set_epi32(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8);
  const __m512 first = _mm512_permutex2var_ps(x.even, low, x.odd);
  const __m512 second = _mm512_permutex2var_ps(x.even, high, x.odd);
  add_doubles<0>(first, to);
  add_doubles<1>(first, to);
  add_doubles<0>(second, to + 16);
  add_doubles<1>(second, to + 16);
}

// `grad` where y > 0 or NaN, of either sign, and 0 elsewhere; 32 of bfloat16 each.
DCL_AVX512_BF16 inline __m512i behind_relu(__m512i grad, __m512i y) {
  const __m512i minus_infinity = _mm512_set1_epi16(static_cast<short>(0xFF80));
  return _mm512_maskz_mov_epi16(
      _mm512_cmpgt_epi16_mask(y, _mm512_setzero_si512()) | _mm512_cmpgt_epu16_mask(y, minus_infinity), grad);
}

enum class Mask { none, from_x, from_y };

// The operands of `reduce` from the first of some rows and channels on.
struct Reduction {
  const bfloat16* grad_y;
  const bfloat16* x;
  const bfloat16* y;
  bfloat16* grad_residual;
  double* sum_g;
  double* sum_gx;
};

template <Mask mask, int rows>
DCL_AVX512_BF16 void add_products(std::int64_t stride, std::int64_t count, const Reduction& of,
                                  const AffineConstants& affine) {
  for (std::int64_t c = 0; c < count; c += kColumns) {
    const EvenOdd mean = affine.mean.at(c);
    EvenOdd s{_mm512_setzero_ps(), _mm512_setzero_ps()};
    EvenOdd q = s;
#pragma GCC unroll 4
    for (int r = 0; r < rows; ++r) {
      const std::int64_t i = r * stride + c;
      prefetch_to_l1(of.grad_y + i + kAhead, kColumns);
      prefetch_to_l1(of.x + i + kAhead, kColumns);
      const EvenOdd d = load(of.x + i) - mean;
      __m512i line = _mm512_loadu_si512(of.grad_y + i);
      if constexpr (mask == Mask::from_y) {
        prefetch_to_l1(of.y + i + kAhead, kColumns);
        line = behind_relu(line, _mm512_loadu_si512(of.y + i));
        _mm512_storeu_si512(of.grad_residual + i, line);
      }
      EvenOdd g = widen_pairs(line);
      if constexpr (mask == Mask::from_x) g = behind_relu(g, d * affine.scale.at(c) + affine.bias.at(c));
      s = s + g;
      q = q + g * d;
    }
    add_doubles(s, of.sum_g + c);
    add_doubles(q, of.sum_gx + c);
  }
}

template <Mask mask>
DCL_AVX512_BF16 void reduce_rows(BatchNormRows size, std::int64_t count, Reduction of,
                                 const AffineConstants& affine) {
  const auto step = [&](std::int64_t rows) {
    of.grad_y += rows * size.channels;
    of.x += rows * size.channels;
    if (mask == Mask::from_y) of.y += rows * size.channels, of.grad_residual += rows * size.channels;
  };
  std::int64_t r = 0;
  for (; r + kBatchNormRows <= size.rows; r += kBatchNormRows, step(kBatchNormRows))
    add_products<mask, kBatchNormRows>(size.channels, count, of, affine);
  for (; r < size.rows; ++r, step(1)) add_products<mask, 1>(size.channels, count, of, affine);
}

template <bool training, bool relu>
DCL_AVX512_BF16 void apply_backward_rows(BatchNormRows size, std::int64_t count, const bfloat16* grad_y,
                                         const bfloat16* x, const AffineConstants& of,
                                         const Constants& mean_g, const Constants& slope, bool stream,
                                         bfloat16* grad_x) {
  for (std::int64_t r = 0; r < size.rows; ++r) {
    const std::int64_t row = r * size.channels;
    const bool streams = stream && begins_line(grad_x + row);
    for (std::int64_t c = 0; c < count; c += kColumns) {
      prefetch_to_l1(grad_y + row + c + kAhead, kColumns);
      prefetch_to_l1(x + row + c + kAhead, kColumns);
      const EvenOdd d = load(x + row + c) - of.mean.at(c);
      const EvenOdd scale = of.scale.at(c);
      EvenOdd g = load(grad_y + row + c);
      if constexpr (relu) g = behind_relu(g, d * scale + of.bias.at(c));
      if constexpr (training) g = g - (mean_g.at(c) + d * slope.at(c));
      write_line(round_pairs(scale * g), grad_x + row + c, streams);
    }
  }
}

}  // namespace

void batch_norm_apply_avx512_bf16(BatchNormRows size, const bfloat16* x, const bfloat16* residual,
                                  const BatchNormAffine<float>& affine, BatchNormEnd end, bfloat16* y) {
  const auto run = residual != nullptr ? (end.relu ? apply_rows<true, true> : apply_rows<true, false>)
                                       : (end.relu ? apply_rows<false, true> : apply_rows<false, false>);
  for_channels(size.channels, [&](std::int64_t first, std::int64_t count) {
    AffineConstants of;
    of.set(affine, first, count);
    run(size, count, x + first, residual == nullptr ? nullptr : residual + first, of, end.stream, y + first);
  });
  if (end.stream) flush_streams();
}

void batch_norm_reduce_avx512_bf16(BatchNormRows size, const bfloat16* grad_y, const bfloat16* x,
                                   const bfloat16* y, const BatchNormAffine<float>& affine, bool relu,
                                   bfloat16* grad_residual, double* sum_g, double* sum_gx) {
  const auto run = y != nullptr ? reduce_rows<Mask::from_y>
                   : relu       ? reduce_rows<Mask::from_x>
                                : reduce_rows<Mask::none>;
  for_channels(size.channels, [&](std::int64_t first, std::int64_t count) {
    AffineConstants of;
    of.set(affine, first, count);
    run(size, count,
        {grad_y + first, x + first, y == nullptr ? nullptr : y + first,
         y == nullptr ? nullptr : grad_residual + first, sum_g + first, sum_gx + first},
        of);
  });
}

void batch_norm_apply_backward_avx512_bf16(BatchNormRows size, const bfloat16* grad_y, const bfloat16* x,
                                           const BatchNormAffine<float>& affine,
                                           const BatchNormSlopes<float>& slopes, BatchNormEnd end,
                                           bfloat16* grad_x) {
  const bool training = slopes.slope != nullptr;
  const auto run = training
                       ? (end.relu ? apply_backward_rows<true, true> : apply_backward_rows<true, false>)
                       : (end.relu ? apply_backward_rows<false, true> : apply_backward_rows<false, false>);
  for_channels(size.channels, [&](std::int64_t first, std::int64_t count) {
    AffineConstants of;
    of.set(affine, first, count);
    Constants mean_g;
    Constants slope;
    if (training) {
      mean_g.set(slopes.mean_g + first, count);
      slope.set(slopes.slope + first, count);
    }
    run(size, count, grad_y + first, x + first, of, mean_g, slope, end.stream, grad_x + first);
  });
  if (end.stream) flush_streams();
}

#else

void batch_norm_apply_avx512_bf16(BatchNormRows, const bfloat16*, const bfloat16*,
                                  const BatchNormAffine<float>&, BatchNormEnd, bfloat16*) {}
void batch_norm_reduce_avx512_bf16(BatchNormRows, const bfloat16*, const bfloat16*, const bfloat16*,
                                   const BatchNormAffine<float>&, bool, bfloat16*, double*, double*) {}
void batch_norm_apply_backward_avx512_bf16(BatchNormRows, const bfloat16*, const bfloat16*,
                                           const BatchNormAffine<float>&, const BatchNormSlopes<float>&,
                                           BatchNormEnd, bfloat16*) {}

#endif

}  // namespace dcl::tensor::cpu
