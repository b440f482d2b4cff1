// The first rung: nothing but the sums.
#include <algorithm>

#include "bench/ladder/rung.h"
#include "bench/ladder/taps.h"
#include "tensor/cpu/threads.h"

namespace dcl::bench {

namespace {

using tensor::cpu::parallel_for;

// y[row,o] = Σ_taps Σ_c x[…,c] · weight[o,tap,c]
template <class T>
void forward(const Conv2dSizes& z, const T* x, const T* weight, T* y) {
  const std::int64_t taps = z.kernel_h * z.kernel_w;
  parallel_for(z.out_rows(), 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row)
      for (std::int64_t o = 0; o < z.out_channels; ++o) {
        T sum = 0;
        for_each_tap(z, row, [&](std::int64_t tap, std::int64_t offset) {
          const T* w = weight + (o * taps + tap) * z.in_channels;
          for (std::int64_t c = 0; c < z.in_channels; ++c) sum += x[offset + c] * w[c];
        });
        y[row * z.out_channels + o] = sum;
      }
  });
}

// dx[…,c] += dy[row,o] · weight[o,tap,c]
template <class T>
void input_gradient(const Conv2dSizes& z, const T* dy, const T* weight, T* dx) {
  const std::int64_t taps = z.kernel_h * z.kernel_w;
  const std::int64_t rows = z.out_h * z.out_w;
  const std::int64_t picture = z.in_h * z.in_w * z.in_channels;
  parallel_for(z.batch, 1, [&](std::int64_t begin, std::int64_t end) {
    std::fill(dx + begin * picture, dx + end * picture, T(0));
    for (std::int64_t row = begin * rows; row < end * rows; ++row)
      for (std::int64_t o = 0; o < z.out_channels; ++o)
        for_each_tap(z, row, [&](std::int64_t tap, std::int64_t offset) {
          const T g = dy[row * z.out_channels + o];
          const T* w = weight + (o * taps + tap) * z.in_channels;
          for (std::int64_t c = 0; c < z.in_channels; ++c) dx[offset + c] += g * w[c];
        });
  });
}

// dweight[o,tap,c] += dy[row,o] · x[…,c]
template <class T>
void weight_gradient(const Conv2dSizes& z, const T* dy, const T* x, T* dweight) {
  const std::int64_t kernel = z.kernel_h * z.kernel_w * z.in_channels;
  parallel_for(z.out_channels, 1, [&](std::int64_t begin, std::int64_t end) {
    std::fill(dweight + begin * kernel, dweight + end * kernel, T(0));
    for (std::int64_t row = 0; row < z.out_rows(); ++row)
      for (std::int64_t o = begin; o < end; ++o)
        for_each_tap(z, row, [&](std::int64_t tap, std::int64_t offset) {
          const T g = dy[row * z.out_channels + o];
          T* dw = dweight + o * kernel + tap * z.in_channels;
          for (std::int64_t c = 0; c < z.in_channels; ++c) dw[c] += g * x[offset + c];
        });
  });
}

}  // namespace

Tensor loops(const Problem& p) {
  Tensor result = p.result(p.x.dtype());
  tensor::dispatch_float(p.x.dtype(), "loops", [&]<class T>() {
    const T* const x = p.x.data<T>();
    const T* const weight = p.weight.data<T>();
    const T* const dy = p.dy.data<T>();
    if (p.pass == Pass::forward) forward(p.sizes, x, weight, result.data<T>());
    if (p.pass == Pass::input_gradient) input_gradient(p.sizes, dy, weight, result.data<T>());
    if (p.pass == Pass::weight_gradient) weight_gradient(p.sizes, dy, x, result.data<T>());
  });
  return result;
}

Tensor exact(const Problem& p) {
  constexpr auto kDouble = tensor::DType::float64;
  return loops({p.sizes, p.pass, p.x.to(kDouble), p.weight.to(kDouble), p.dy.to(kDouble)});
}

}  // namespace dcl::bench
