#include "tensor/cuda/pictures.h"
#include "tensor/ops/max_pool2d.h"
#include "tensor/ops/max_pool2d_windows.h"

namespace dcl::tensor::cuda {

namespace {

// y and tap [N,Ho,Wo,C].
template <class T, int Width>
__global__ void largest(PictureSizes out, MaxPool2dSizes s, const T* x, T* y, std::uint8_t* tap) {
  for_each_pack<Width>(out, [&](std::int64_t n, std::int64_t p, int q, int c) {
    const std::int64_t top = p * s.stride - s.padding;
    const std::int64_t left = q * s.stride - s.padding;
    const MaxPool2dTaps rows(top, s.kernel, s.in_h);
    const MaxPool2dTaps columns(left, s.kernel, s.in_w);
    const T* corner = x + (((n * s.in_h + top) * s.in_w + left) * s.channels + c);  // may lie outside
    auto best = load_pack<Width>(corner + (rows.begin * s.in_w + columns.begin) * s.channels);
    Pack<std::uint8_t, Width> best_tap;
    for (int k = 0; k < Width; ++k)
      best_tap.values[k] = static_cast<std::uint8_t>(rows.begin * s.kernel + columns.begin);
    for (std::int64_t r = rows.begin; r < rows.end; ++r)
      for (std::int64_t t = columns.begin; t < columns.end; ++t) {
        const auto value = load_pack<Width>(corner + (r * s.in_w + t) * s.channels);
        const auto here = static_cast<std::uint8_t>(r * s.kernel + t);
        for (int k = 0; k < Width; ++k) {
          const Compute<T> u = widened(value.values[k]);
          const Compute<T> b = widened(best.values[k]);
          if (u <= b || b != b) continue;  // NaN is larger than all, and then nothing else is
          best.values[k] = value.values[k];
          best_tap.values[k] = here;
        }
      }
    const std::int64_t at = ((n * s.out_h + p) * s.out_w + q) * s.channels + c;
    store_pack(y + at, best);
    store_pack(tap + at, best_tap);
  });
}

// dx [N,H,W,C] gathers from the few windows over each pixel.
template <class T, int Width>
__global__ void gather_gradient(PictureSizes in, MaxPool2dSizes s, const T* grad_y, const std::uint8_t* tap,
                                T* grad_x) {
  for_each_pack<Width>(in, [&](std::int64_t n, std::int64_t h, int w, int c) {
    const MaxPool2dWindows rows(h, s, s.out_h);
    const MaxPool2dWindows columns(w, s, s.out_w);
    Compute<T> sum[Width] = {};
    for (std::int64_t p = rows.begin; p < rows.end; ++p)
      for (std::int64_t q = columns.begin; q < columns.end; ++q) {
        const std::int64_t r = h - (p * s.stride - s.padding);
        const auto here = static_cast<std::uint8_t>(r * s.kernel + w - (q * s.stride - s.padding));
        const std::int64_t at = ((n * s.out_h + p) * s.out_w + q) * s.channels + c;
        const auto g = load_pack<Width>(grad_y + at);
        const auto winner = load_pack<Width>(tap + at);
        for (int k = 0; k < Width; ++k) sum[k] += winner.values[k] == here ? widened(g.values[k]) : 0;
      }
    Pack<T, Width> rounded;
    for (int k = 0; k < Width; ++k) rounded.values[k] = static_cast<T>(sum[k]);
    store_pack(grad_x + ((n * s.in_h + h) * s.in_w + w) * s.channels + c, rounded);
  });
}

}  // namespace

MaxPool2dResult max_pool2d(const Tensor& x, const MaxPool2dParams& params) {
  check(x.defined(), "max_pool2d: x is undefined");
  const auto s = max_pool2d_sizes(x.shape(), params);
  return dispatch_activation(x.dtype(), "max_pool2d", [&]<class T>() {
    MaxPool2dResult result{Tensor::empty(s.out(), x.options()),
                           Tensor::empty(s.out(), {DType::uint8, x.device()})};
    count_work({0, bytes_of({&x, &result.y, &result.tap})});
    with_pack_width<T>(s.channels, {x.raw()}, [&]<int Width>() {
      const auto out = picture_sizes("max_pool2d", s.out());
      launch("max_pool2d", largest<T, Width>, launch_by_rows<Width>(out), out, s, x.data<T>(),
             result.y.data<T>(), result.tap.data<std::uint8_t>());
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
    with_pack_width<T>(s.channels, {grad_y.raw(), tap.raw()}, [&]<int Width>() {
      const auto in = picture_sizes("max_pool2d", x_shape);
      launch("max_pool2d", gather_gradient<T, Width>, launch_by_rows<Width>(in), in, s, grad_y.data<T>(),
             tap.data<std::uint8_t>(), grad_x.data<T>());
    });
    return grad_x;
  });
}

}  // namespace dcl::tensor::cuda
