#include "tensor/cpu/threads.h"
#include "tensor/ops/max_pool2d.h"
#include "tensor/ops/max_pool2d_kernels.h"

namespace dcl::tensor::cpu {

namespace {

constexpr std::int64_t kGrain = 16384;  // elements a thread is worth waking for

}  // namespace

MaxPool2dResult max_pool2d(const Tensor& x, const MaxPool2dParams& params) {
  check(x.defined(), "max_pool2d: x is undefined");
  const auto s = max_pool2d_sizes(x.shape(), params);
  return dispatch_activation(x.dtype(), "max_pool2d", [&]<class T>() {
    MaxPool2dResult result{Tensor::empty(s.out(), x.options()),
                           Tensor::empty(s.out(), {DType::uint8, x.device()})};
    count_work({0, bytes_of({&x, &result.y, &result.tap})});
    const T* x_data = x.data<T>();
    T* y_data = result.y.data<T>();
    std::uint8_t* tap_data = result.tap.data<std::uint8_t>();
    const std::int64_t picture = s.in_h * s.in_w * s.channels;
    const std::int64_t row = s.out_w * s.channels;
    parallel_for(s.batch * s.out_h, kGrain / (row + 1) + 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i)
        max_pool2d_kernels<T>().forward_row(s, x_data + i / s.out_h * picture, i % s.out_h, y_data + i * row,
                                            tap_data + i * row);
    });
    return result;
  });
}

// dx[h,w,c] = Σ dy[p,q,c] over the windows (p,q) whose largest value was at (h,w).
Tensor max_pool2d_backward(const Tensor& grad_y, const Tensor& tap, const Shape& x_shape,
                           const MaxPool2dParams& params) {
  const auto s = max_pool2d_sizes(x_shape, params);
  check_dtype("max_pool2d", "tap", tap, DType::uint8);
  check_shape("max_pool2d", "tap", tap, s.out());
  check_shape("max_pool2d", "grad_y", grad_y, tap.shape());
  return dispatch_activation(grad_y.dtype(), "max_pool2d", [&]<class T>() {
    Tensor grad_x = Tensor::empty(x_shape, grad_y.options());
    count_work({0, bytes_of({&grad_y, &tap, &grad_x})});
    const T* grad_y_data = grad_y.data<T>();
    const std::uint8_t* tap_data = tap.data<std::uint8_t>();
    T* grad_x_data = grad_x.data<T>();
    const std::int64_t picture = s.out_h * s.out_w * s.channels;
    const std::int64_t row = s.in_w * s.channels;
    parallel_for(s.batch * s.in_h, kGrain / (row + 1) + 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        const std::int64_t from = i / s.in_h * picture;
        max_pool2d_kernels<T>().backward_row(s, grad_y_data + from, tap_data + from, i % s.in_h,
                                             grad_x_data + i * row);
      }
    });
    return grad_x;
  });
}

}  // namespace dcl::tensor::cpu
