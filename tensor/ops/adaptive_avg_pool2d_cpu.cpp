#include <algorithm>
#include <vector>

#include "tensor/cpu/row_sums.h"
#include "tensor/cpu/threads.h"
#include "tensor/ops/adaptive_avg_pool2d.h"
#include "tensor/ops/adaptive_avg_pool2d_bins.h"

namespace dcl::tensor::cpu {

namespace {

constexpr std::int64_t kGrain = 32768;

}  // namespace

Tensor adaptive_avg_pool2d(const Tensor& x, std::int64_t out_h, std::int64_t out_w) {
  check(x.defined(), "adaptive_avg_pool2d: x is undefined");
  const AdaptivePooling s(x.shape(), out_h, out_w);
  return dispatch_activation(x.dtype(), "adaptive_avg_pool2d", [&]<class T>() {
    Tensor y = Tensor::empty(s.out(), x.options());
    const T* x_data = x.data<T>();
    T* y_data = y.data<T>();
    const std::int64_t work = s.in_h * s.in_w * s.channels / (out_h * out_w) + 1;
    parallel_for(s.batch * out_h * out_w, kGrain / work + 1, [&](std::int64_t begin, std::int64_t end) {
      std::vector<double> sums(static_cast<std::size_t>(s.channels));
      for (std::int64_t i = begin; i < end; ++i) {
        const PoolingBin rows((i / out_w) % out_h, out_h, s.in_h);
        const PoolingBin columns(i % out_w, out_w, s.in_w);
        const T* picture = x_data + i / (out_h * out_w) * s.in_h * s.in_w * s.channels;
        std::ranges::fill(sums, 0.0);
        for (std::int64_t h = rows.begin; h < rows.end; ++h)
          row_sums<T>().add_rows(columns.length(), s.channels, s.channels,
                                 picture + (h * s.in_w + columns.begin) * s.channels, sums.data());
        const double area = static_cast<double>(rows.length() * columns.length());
        for (std::int64_t c = 0; c < s.channels; ++c)
          y_data[i * s.channels + c] =
              static_cast<T>(static_cast<Compute<T>>(sums[static_cast<std::size_t>(c)] / area));
      }
    });
    return y;
  });
}

// dx[h,w] = Σ dy[p,q] / area[p,q] over the bins (p,q) that cover (h,w).
Tensor adaptive_avg_pool2d_backward(const Tensor& grad_y, const Shape& x_shape) {
  check_dim("adaptive_avg_pool2d", "grad_y", grad_y, 4);
  const AdaptivePooling s(x_shape, grad_y.size(1), grad_y.size(2));
  check_shape("adaptive_avg_pool2d", "grad_y", grad_y, s.out());
  return dispatch_activation(grad_y.dtype(), "adaptive_avg_pool2d", [&]<class T>() {
    using C = Compute<T>;
    Tensor grad_x = Tensor::empty(x_shape, grad_y.options());
    const T* grad_y_data = grad_y.data<T>();
    T* grad_x_data = grad_x.data<T>();
    // One picture row at a time, [W,C]: its bins are those that contain h.
    const auto add_bin = [&](std::int64_t row, std::int64_t p, C* sums) {
      const std::int64_t n = row / s.in_h;
      for (std::int64_t q = 0; q < s.out_w; ++q) {
        const PoolingBin columns(q, s.out_w, s.in_w);
        const C share = C(1) / static_cast<C>(PoolingBin(p, s.out_h, s.in_h).length() * columns.length());
        const T* from = grad_y_data + ((n * s.out_h + p) * s.out_w + q) * s.channels;
        for (std::int64_t w = columns.begin; w < columns.end; ++w)
          for (std::int64_t c = 0; c < s.channels; ++c) sums[w * s.channels + c] += share * widened(from[c]);
      }
    };
    parallel_for(s.batch * s.in_h, kGrain / (s.in_w * s.channels + 1) + 1,
                 [&](std::int64_t begin, std::int64_t end) {
                   std::vector<C> sums(static_cast<std::size_t>(s.in_w * s.channels));
                   for (std::int64_t row = begin; row < end; ++row) {
                     const std::int64_t h = row % s.in_h;
                     std::ranges::fill(sums, C(0));
                     for (std::int64_t p = 0; p < s.out_h; ++p) {
                       const PoolingBin rows(p, s.out_h, s.in_h);
                       if (rows.begin <= h && h < rows.end) add_bin(row, p, sums.data());
                     }
                     std::ranges::transform(sums, grad_x_data + row * std::ssize(sums),
                                            [](C sum) { return static_cast<T>(sum); });
                   }
                 });
    return grad_x;
  });
}

}  // namespace dcl::tensor::cpu
