// The loops of batch_norm_act_kernels.h that write bfloat16, for processors that round two vectors to it in
// one instruction: the same operations in the same order, and so the same bits but for denormal results,
// which become zeros. 32 columns are even ones and odd ones, which are widened in their places.
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
  void set(const float* values, std::int64_t count) {
    for (std::int64_t c = 0; c < count; ++c)
      values_[static_cast<std::size_t>(c / kColumns * kColumns + c % 2 * 16 + c % kColumns / 2)] = values[c];
  }
  DCL_AVX512_BF16 EvenOdd at(std::int64_t c) const {
    return {_mm512_load_ps(values_.data() + c), _mm512_load_ps(values_.data() + c + 16)};
  }

 private:
  alignas(64) std::array<float, kChannels> values_;
};

struct AffineConstants {
  Constants mean, scale, bias;

  void set(const BatchNormAffine<float>& affine, std::int64_t first, std::int64_t count) {
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
    prefetch_to_l1(x + row + kAhead, count);
    if constexpr (with_residual) prefetch_to_l1(residual + row + kAhead, count);
    for (std::int64_t c = 0; c < count; c += kColumns) {
      EvenOdd u = (load(x + row + c) - of.mean.at(c)) * of.scale.at(c) + of.bias.at(c);
      if constexpr (with_residual) u = u + load(residual + row + c);
      write_line(round_pairs(relu ? relu_of(u) : u), y + row + c, streams);
    }
  }
}

template <bool training, bool relu>
DCL_AVX512_BF16 void apply_backward_rows(BatchNormRows size, std::int64_t count, const bfloat16* grad_y,
                                         const bfloat16* x, const AffineConstants& of,
                                         const Constants& mean_g, const Constants& slope, bool stream,
                                         bfloat16* grad_x) {
  for (std::int64_t r = 0; r < size.rows; ++r) {
    const std::int64_t row = r * size.channels;
    const bool streams = stream && begins_line(grad_x + row);
    prefetch_to_l1(grad_y + row + kAhead, count);
    prefetch_to_l1(x + row + kAhead, count);
    for (std::int64_t c = 0; c < count; c += kColumns) {
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
void batch_norm_apply_backward_avx512_bf16(BatchNormRows, const bfloat16*, const bfloat16*,
                                           const BatchNormAffine<float>&, const BatchNormSlopes<float>&,
                                           BatchNormEnd, bfloat16*) {}

#endif

}  // namespace dcl::tensor::cpu
