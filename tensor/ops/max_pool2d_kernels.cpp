#include "tensor/ops/max_pool2d_kernels.h"

#include <algorithm>

#include "tensor/cpu/vector_targets.h"
#include "tensor/dtype.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tensor/ops/max_pool2d_kernels.cpp"
#include <hwy/foreach_target.h>
// foreach_target.h comes first: it includes this file again for every instruction set.
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace dcl::tensor::cpu {
namespace HWY_NAMESPACE {
namespace {  // several files have kernels of these names

// Channels go in chunks whose state stays in registers. The loops over a chunk are plain, so that the
// compiler makes them as wide as the instruction set; taps are as wide as the values, so that one mask serves
// both.
constexpr std::int64_t kChunk = 32;

template <class T>
struct TapOf;
template <>
struct TapOf<float> {
  using Type = std::int32_t;
};
template <>
struct TapOf<double> {
  using Type = std::int64_t;
};

// One output pixel, `count` channels. x[corner] is tap (0,0), which may lie outside.
template <class T>
HWY_INLINE void window_maximum(const MaxPool2dSizes& s, MaxPool2dTaps rows, MaxPool2dTaps columns, const T* x,
                               std::int64_t corner, std::int64_t count, T* HWY_RESTRICT y,
                               std::uint8_t* HWY_RESTRICT tap) {
  using Tap = typename TapOf<Compute<T>>::Type;
  Compute<T> best[kChunk];
  Tap best_tap[kChunk];
  const T* first = x + (corner + (rows.begin * s.in_w + columns.begin) * s.channels);
  for (std::int64_t c = 0; c < count; ++c) {
    best[c] = widened(first[c]);
    best_tap[c] = static_cast<Tap>(rows.begin * s.kernel + columns.begin);
  }
  for (std::int64_t r = rows.begin; r < rows.end; ++r) {
    for (std::int64_t q = columns.begin; q < columns.end; ++q) {
      const T* HWY_RESTRICT value = x + (corner + (r * s.in_w + q) * s.channels);
      const Tap here = static_cast<Tap>(r * s.kernel + q);
      for (std::int64_t c = 0; c < count; ++c) {
        const Compute<T> u = widened(value[c]);
        const bool larger = !(u <= best[c]) && best[c] == best[c];  // NaN is, and then nothing else
        best[c] = larger ? u : best[c];
        best_tap[c] = larger ? here : best_tap[c];
      }
    }
  }
  for (std::int64_t c = 0; c < count; ++c) {
    y[c] = static_cast<T>(best[c]);
    tap[c] = static_cast<std::uint8_t>(best_tap[c]);
  }
}

template <class T>
void forward_row(const MaxPool2dSizes& s, const T* x, std::int64_t p, T* y, std::uint8_t* tap) {
  const std::int64_t top = p * s.stride - s.padding;
  const MaxPool2dTaps rows(top, s.kernel, s.in_h);
  for (std::int64_t q = 0; q < s.out_w; ++q) {
    const std::int64_t left = q * s.stride - s.padding;
    const MaxPool2dTaps columns(left, s.kernel, s.in_w);
    const std::int64_t corner = (top * s.in_w + left) * s.channels;
    std::int64_t c = 0;
    for (; c + kChunk <= s.channels; c += kChunk)
      window_maximum(s, rows, columns, x, corner + c, kChunk, y + c, tap + c);
    if (c < s.channels) window_maximum(s, rows, columns, x, corner + c, s.channels - c, y + c, tap + c);
    y += s.channels;
    tap += s.channels;
  }
}

// dx gathers from the few windows over it, so that it is written once and by one thread; `count` channels of
// one pixel (h,w).
template <class T>
HWY_INLINE void gather_gradient(const MaxPool2dSizes& s, MaxPool2dWindows rows, MaxPool2dWindows columns,
                                std::int64_t h, std::int64_t w, const T* grad_y, const std::uint8_t* tap,
                                std::int64_t count, T* HWY_RESTRICT grad_x) {
  Compute<T> sum[kChunk];
  for (std::int64_t c = 0; c < count; ++c) sum[c] = 0;
  for (std::int64_t p = rows.begin; p < rows.end; ++p) {
    for (std::int64_t q = columns.begin; q < columns.end; ++q) {
      const std::int64_t r = h - (p * s.stride - s.padding);
      const auto here = static_cast<std::uint8_t>(r * s.kernel + w - (q * s.stride - s.padding));
      const std::int64_t at = (p * s.out_w + q) * s.channels;
      const T* HWY_RESTRICT g = grad_y + at;
      const std::uint8_t* HWY_RESTRICT winner = tap + at;
      for (std::int64_t c = 0; c < count; ++c) sum[c] += winner[c] == here ? widened(g[c]) : Compute<T>(0);
    }
  }
  for (std::int64_t c = 0; c < count; ++c) grad_x[c] = static_cast<T>(sum[c]);
}

template <class T>
void backward_row(const MaxPool2dSizes& s, const T* grad_y, const std::uint8_t* tap, std::int64_t h,
                  T* grad_x) {
  const MaxPool2dWindows rows(h, s, s.out_h);
  for (std::int64_t w = 0; w < s.in_w; ++w, grad_x += s.channels) {
    const MaxPool2dWindows columns(w, s, s.out_w);
    std::int64_t c = 0;
    for (; c + kChunk <= s.channels; c += kChunk)
      gather_gradient(s, rows, columns, h, w, grad_y + c, tap + c, kChunk, grad_x + c);
    if (c < s.channels)
      gather_gradient(s, rows, columns, h, w, grad_y + c, tap + c, s.channels - c, grad_x + c);
  }
}

template <class T>
const MaxPool2dKernels<T>& kernels() {
  static constexpr MaxPool2dKernels<T> all{forward_row<T>, backward_row<T>};
  return all;
}

const MaxPool2dKernels<float>& float_kernels() { return kernels<float>(); }
const MaxPool2dKernels<double>& double_kernels() { return kernels<double>(); }
const MaxPool2dKernels<bfloat16>& bfloat16_kernels() { return kernels<bfloat16>(); }

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace dcl::tensor::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace dcl::tensor::cpu {

DCL_VECTOR_DISPATCH(float_kernels, template <> const MaxPool2dKernels<float>& max_pool2d_kernels<float>())
DCL_VECTOR_DISPATCH(double_kernels, template <> const MaxPool2dKernels<double>& max_pool2d_kernels<double>())
DCL_VECTOR_DISPATCH(bfloat16_kernels,
                    template <> const MaxPool2dKernels<bfloat16>& max_pool2d_kernels<bfloat16>())

}  // namespace dcl::tensor::cpu
#endif  // HWY_ONCE
