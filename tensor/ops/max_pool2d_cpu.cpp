#include "tensor/cpu/threads.h"
#include "tensor/ops/max_pool2d.h"
#include "tensor/ops/max_pool2d_kernels.h"

namespace dcl::tensor::cpu {

namespace {

constexpr std::int64_t kGrain = 16384;  // elements a thread is worth waking for

MaxPool2dSizes sizes_of(const Shape& x, const MaxPool2dParams& params) {
  const auto [kernel, stride, padding] = params;
  check(x.dim() == 4, "max_pool2d: x is {}, expected [N,H,W,C]", x.str());
  check(kernel >= 1 && kernel <= 15, "max_pool2d: kernel is {}, expected 1 to 15", kernel);
  check(stride >= 1, "max_pool2d: stride is {}, expected at least 1", stride);
  check(padding >= 0 && padding <= kernel / 2,
        "max_pool2d: padding is {}, expected 0 to half the kernel of {}", padding, kernel);
  check(x[1] + 2 * padding >= kernel && x[2] + 2 * padding >= kernel,
        "max_pool2d: kernel {} is larger than the picture with padding {} (x {})", kernel, padding, x.str());
  const auto out = [&](std::int64_t in) { return (in + 2 * padding - kernel) / stride + 1; };
  return {x[0], x[1], x[2], x[3], out(x[1]), out(x[2]), kernel, stride, padding};
}

}  // namespace

MaxPool2dResult max_pool2d(const Tensor& x, const MaxPool2dParams& params) {
  check(x.defined(), "max_pool2d: x is undefined");
  const auto s = sizes_of(x.shape(), params);
  return dispatch_activation(x.dtype(), "max_pool2d", [&]<class T>() {
    const Shape out{s.batch, s.out_h, s.out_w, s.channels};
    MaxPool2dResult result{Tensor::empty(out, x.options()), Tensor::empty(out, {DType::uint8, x.device()})};
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
  const auto s = sizes_of(x_shape, params);
  check_dtype("max_pool2d", "tap", tap, DType::uint8);
  check_shape("max_pool2d", "tap", tap, {s.batch, s.out_h, s.out_w, s.channels});
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
