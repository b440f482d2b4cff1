#include "tensor/ops/batch_norm_act_kernels.h"

#include <algorithm>
#include <array>
#include <bit>
#include <type_traits>

#include "tensor/cpu/features.h"
#include "tensor/cpu/streaming.h"
#include "tensor/cpu/vector_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tensor/ops/batch_norm_act_kernels.cpp"
#include <hwy/foreach_target.h>
// foreach_target.h comes first: it includes this file again for every instruction set.
#include <hwy/cache_control.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace dcl::tensor::cpu {
namespace HWY_NAMESPACE {
namespace {  // several files have kernels of these names

// The loops over channels are plain, so that the compiler makes them as wide as the instruction set. Sums go
// over a few rows in registers before they are added to memory, and over all rows of some channels before the
// next channels, so that what there is one of for each channel stays in L1.
constexpr std::int64_t kChannels = kBatchNormChannels;

// body(first, count) for blocks of channels.
template <class F>
void for_channels(std::int64_t channels, F body) {
  for (std::int64_t c = 0; c < channels; c += kChannels) body(c, std::min(kChannels, channels - c));
}

// Asks for the line some way behind x: rows that are read beside each other look to the processor like no
// stream. Never read, so it may lie behind an end.
template <class X>
HWY_INLINE void fetch_ahead(const X* x) {
  __builtin_prefetch(reinterpret_cast<const char*>(x) + kBatchNormAheadBytes);
}

// body(first, last) for a few lines of channels at a time, after ask(c) for the first channel c of each line:
// more requests at once wait for one another, and the loop for them.
template <class X, class Ask, class Body>
HWY_INLINE void by_lines(std::int64_t channels, Ask ask, Body body) {
  constexpr auto kLine = static_cast<std::int64_t>(64 / sizeof(X));
  for (std::int64_t first = 0; first < channels; first += kBatchNormLines * kLine) {
    const std::int64_t last = std::min(first + kBatchNormLines * kLine, channels);
    for (std::int64_t c = first; c < last; c += kLine) ask(c);
    body(first, last);
  }
}

// Not max(u, 0): NaN has to come through.
template <class T>
HWY_INLINE T relu_of(T u) {
  return u < T(0) ? T(0) : u;
}

// `count` numbers, whole lines of y.
template <class X>
HWY_INLINE void stream_row(const X* row, std::int64_t count, X* y) {
  namespace hn = hwy::HWY_NAMESPACE;
  const hn::ScalableTag<std::uint32_t> words;
  const auto* const from = reinterpret_cast<const std::uint32_t*>(row);
  auto* const to = reinterpret_cast<std::uint32_t*>(y);
  const auto n = static_cast<std::int64_t>(count * sizeof(X) / sizeof(std::uint32_t));
  for (std::int64_t i = 0; i < n; i += static_cast<std::int64_t>(hn::Lanes(words)))
    hn::Stream(hn::LoadU(words, from + i), words, to + i);
}

template <bool with_residual, bool relu, class X, class T = Compute<X>>
void apply_rows(BatchNormRows size, const X* x_rows, const X* residual_rows, const BatchNormAffine<T>& affine,
                bool stream, X* y_rows) {
  for_channels(size.channels, [&](std::int64_t first, std::int64_t count) {
    const T* HWY_RESTRICT mean = affine.mean + first;
    const T* HWY_RESTRICT scale = affine.scale + first;
    const T* HWY_RESTRICT bias = affine.bias + first;
    alignas(64) std::array<X, kChannels> row;
    const bool whole_lines = count * sizeof(X) % 64 == 0;
    for (std::int64_t r = 0; r < size.rows; ++r) {
      const std::int64_t at = r * size.channels + first;
      const X* x = x_rows + at;
      const X* HWY_RESTRICT residual = with_residual ? residual_rows + at : nullptr;
      const bool streams = stream && whole_lines && begins_line(y_rows + at);
      X* y = streams ? row.data() : y_rows + at;
      const auto ask = [&](std::int64_t c) {
        fetch_ahead(x + c);
        if constexpr (with_residual) fetch_ahead(residual + c);
      };
      by_lines<X>(count, ask, [&](std::int64_t from, std::int64_t to) {
        DCL_SAME_PLACES  // y may be x
        for (std::int64_t c = from; c < to; ++c) {
          T u = (widened(x[c]) - mean[c]) * scale[c] + bias[c];
          if constexpr (with_residual) u += widened(residual[c]);
          y[c] = static_cast<X>(relu ? relu_of(u) : u);
        }
      });
      if (streams) stream_row(row.data(), count, y_rows + at);
    }
  });
  if (stream) hwy::FlushStream();
}

// True where the loops of batch_norm_act_avx512.cpp are faster.
bool rounds_by_instruction(BatchNormRows size) {
  return HWY_TARGET == HWY_AVX3 && size.channels % 32 == 0 && avx512_bf16_allowed();
}

template <class X, class T = Compute<X>>
void apply(BatchNormRows size, const X* x, const X* residual, const BatchNormAffine<T>& affine,
           BatchNormEnd end, X* y) {
  if constexpr (std::is_same_v<X, bfloat16>)
    if (rounds_by_instruction(size)) return batch_norm_apply_avx512_bf16(size, x, residual, affine, end, y);
  const auto run = residual ? (end.relu ? apply_rows<true, true, X> : apply_rows<true, false, X>)
                            : (end.relu ? apply_rows<false, true, X> : apply_rows<false, false, X>);
  run(size, x, residual, affine, end.stream, y);
}

// g, or 0 where u <= 0 (not where u is NaN). On bits: for a choice between values GCC 12 makes a branch
// around the load of g, which has no vectors but AVX-512's.
template <class X>
HWY_INLINE X behind_relu(X g, Compute<X> u) {
  using Bits = std::conditional_t<sizeof(X) == 2, std::uint16_t,
                                  std::conditional_t<sizeof(X) == 4, std::uint32_t, std::uint64_t>>;
  const Bits open = u <= 0 ? Bits{0} : static_cast<Bits>(~Bits{0});
  return std::bit_cast<X>(static_cast<Bits>(std::bit_cast<Bits>(g) & open));
}

enum class Mask { none, from_x, from_y };

// Channels [from,to).
template <Mask mask, int rows, class X, class T = Compute<X>>
HWY_INLINE void add_products(std::int64_t from, std::int64_t to, std::int64_t stride, const X* grad_y,
                             const X* HWY_RESTRICT x, const X* HWY_RESTRICT y,
                             const BatchNormAffine<T>& affine, X* grad_residual, double* HWY_RESTRICT sum_g,
                             double* HWY_RESTRICT sum_gx) {
  const T* HWY_RESTRICT mean = affine.mean;
  const T* HWY_RESTRICT scale = affine.scale;
  const T* HWY_RESTRICT bias = affine.bias;
  DCL_SAME_PLACES  // grad_residual may be grad_y
  for (std::int64_t c = from; c < to; ++c) {
    T s = 0;
    T q = 0;
#pragma GCC unroll 4
    for (int r = 0; r < rows; ++r) {
      const std::int64_t i = r * stride + c;
      const T d = widened(x[i]) - mean[c];
      T g;
      if constexpr (mask == Mask::from_y) {
        grad_residual[i] = behind_relu(grad_y[i], widened(y[i]));
        g = widened(grad_residual[i]);
      } else {
        g = widened(grad_y[i]);
        if constexpr (mask == Mask::from_x) g = behind_relu(g, d * scale[c] + bias[c]);
      }
      s += g;
      q += g * d;
    }
    sum_g[c] += static_cast<double>(s);
    sum_gx[c] += static_cast<double>(q);
  }
}

template <Mask mask, class X, class T = Compute<X>>
void reduce_rows(BatchNormRows size, const X* grad_y, const X* x, const X* y,
                 const BatchNormAffine<T>& affine, X* grad_residual, double* sum_g, double* sum_gx) {
  for_channels(size.channels, [&](std::int64_t first, std::int64_t count) {
    const BatchNormAffine<T> of_these{affine.mean + first, affine.scale + first, affine.bias + first};
    const bool by_y = mask == Mask::from_y;
    const auto add = [&]<int rows>(std::integral_constant<int, rows>, std::int64_t r) {
      const std::int64_t at = r * size.channels + first;
      const auto ask = [&](std::int64_t c) {
        for (std::int64_t i = at + c; i < at + c + rows * size.channels; i += size.channels) {
          fetch_ahead(grad_y + i);
          fetch_ahead(x + i);
          if (by_y) fetch_ahead(y + i);
        }
      };
      by_lines<X>(count, ask, [&](std::int64_t from, std::int64_t to) {
        add_products<mask, rows, X>(from, to, size.channels, grad_y + at, x + at, by_y ? y + at : nullptr,
                                    of_these, by_y ? grad_residual + at : nullptr, sum_g + first,
                                    sum_gx + first);
      });
    };
    std::int64_t r = 0;
    for (; r + kBatchNormRows <= size.rows; r += kBatchNormRows)
      add(std::integral_constant<int, kBatchNormRows>(), r);
    for (; r < size.rows; ++r) add(std::integral_constant<int, 1>(), r);
  });
}

template <class X, class T = Compute<X>>
void reduce(BatchNormRows size, const X* grad_y, const X* x, const X* y, const BatchNormAffine<T>& affine,
            bool relu, X* grad_residual, double* sum_g, double* sum_gx) {
  std::fill_n(sum_g, size.channels, 0.0);
  std::fill_n(sum_gx, size.channels, 0.0);
  if constexpr (std::is_same_v<X, bfloat16>)
    if (rounds_by_instruction(size))
      return batch_norm_reduce_avx512_bf16(size, grad_y, x, y, affine, relu, grad_residual, sum_g, sum_gx);
  const auto run = y      ? reduce_rows<Mask::from_y, X>
                   : relu ? reduce_rows<Mask::from_x, X>
                          : reduce_rows<Mask::none, X>;
  run(size, grad_y, x, y, affine, grad_residual, sum_g, sum_gx);
}

template <bool training, bool relu, class X, class T = Compute<X>>
void apply_backward_rows(BatchNormRows size, const X* grad_y_rows, const X* x_rows,
                         const BatchNormAffine<T>& affine, const BatchNormSlopes<T>& slopes, bool stream,
                         X* grad_x_rows) {
  for_channels(size.channels, [&](std::int64_t first, std::int64_t count) {
    const T* HWY_RESTRICT mean = affine.mean + first;
    const T* HWY_RESTRICT scale = affine.scale + first;
    const T* HWY_RESTRICT bias = affine.bias + first;
    const T* HWY_RESTRICT mean_g = training ? slopes.mean_g + first : nullptr;
    const T* HWY_RESTRICT slope = training ? slopes.slope + first : nullptr;
    alignas(64) std::array<X, kChannels> row;
    const bool whole_lines = count * sizeof(X) % 64 == 0;
    for (std::int64_t r = 0; r < size.rows; ++r) {
      const std::int64_t at = r * size.channels + first;
      const X* HWY_RESTRICT grad_y = grad_y_rows + at;
      const X* x = x_rows + at;
      const bool streams = stream && whole_lines && begins_line(grad_x_rows + at);
      X* grad_x = streams ? row.data() : grad_x_rows + at;
      const auto ask = [&](std::int64_t c) {
        fetch_ahead(grad_y + c);
        fetch_ahead(x + c);
      };
      by_lines<X>(count, ask, [&](std::int64_t from, std::int64_t to) {
        DCL_SAME_PLACES  // grad_x may be x
        for (std::int64_t c = from; c < to; ++c) {
          const T d = widened(x[c]) - mean[c];
          T g = widened(grad_y[c]);
          if constexpr (relu) g = behind_relu(g, d * scale[c] + bias[c]);
          if constexpr (training) g -= mean_g[c] + d * slope[c];
          grad_x[c] = static_cast<X>(scale[c] * g);
        }
      });
      if (streams) stream_row(row.data(), count, grad_x_rows + at);
    }
  });
  if (stream) hwy::FlushStream();
}

template <class X, class T = Compute<X>>
void apply_backward(BatchNormRows size, const X* grad_y, const X* x, const BatchNormAffine<T>& affine,
                    const BatchNormSlopes<T>& slopes, BatchNormEnd end, X* grad_x) {
  if constexpr (std::is_same_v<X, bfloat16>)
    if (rounds_by_instruction(size))
      return batch_norm_apply_backward_avx512_bf16(size, grad_y, x, affine, slopes, end, grad_x);
  const auto run =
      slopes.slope ? (end.relu ? apply_backward_rows<true, true, X> : apply_backward_rows<true, false, X>)
                   : (end.relu ? apply_backward_rows<false, true, X> : apply_backward_rows<false, false, X>);
  run(size, grad_y, x, affine, slopes, end.stream, grad_x);
}

template <class X>
const BatchNormKernels<X>& kernels() {
  static constexpr BatchNormKernels<X> all{apply<X>, reduce<X>, apply_backward<X>};
  return all;
}

const BatchNormKernels<float>& float_kernels() { return kernels<float>(); }
const BatchNormKernels<double>& double_kernels() { return kernels<double>(); }
const BatchNormKernels<bfloat16>& bfloat16_kernels() { return kernels<bfloat16>(); }

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace dcl::tensor::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace dcl::tensor::cpu {

DCL_VECTOR_DISPATCH(float_kernels, template <> const BatchNormKernels<float>& batch_norm_kernels<float>())
DCL_VECTOR_DISPATCH(double_kernels, template <> const BatchNormKernels<double>& batch_norm_kernels<double>())
DCL_VECTOR_DISPATCH(bfloat16_kernels,
                    template <> const BatchNormKernels<bfloat16>& batch_norm_kernels<bfloat16>())

}  // namespace dcl::tensor::cpu
#endif  // HWY_ONCE
