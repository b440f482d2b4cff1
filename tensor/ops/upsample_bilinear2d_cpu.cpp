#include <vector>

#include "tensor/cpu/threads.h"
#include "tensor/ops/upsample_bilinear2d.h"
#include "tensor/ops/upsample_bilinear2d_taps.h"

namespace dcl::tensor::cpu {

namespace {

std::vector<UpsampleTap> taps(std::int64_t in, std::int64_t out, bool align_corners) {
  const UpsampleAxis axis(in, out, align_corners);
  std::vector<UpsampleTap> result(static_cast<std::size_t>(out));
  for (std::int64_t i = 0; i < out; ++i) result[static_cast<std::size_t>(i)] = axis.tap(i);
  return result;
}

}  // namespace

Tensor upsample_bilinear2d(const Tensor& x, const UpsampleParams& params) {
  check(x.defined(), "upsample_bilinear2d: x is undefined");
  check_upsample_sizes(x.shape(), params);
  return dispatch_float(x.dtype(), "upsample_bilinear2d", [&]<class T>() {
    const std::int64_t in_h = x.size(1), in_w = x.size(2), channels = x.size(3);
    const auto rows = taps(in_h, params.out_h, params.align_corners);
    const auto columns = taps(in_w, params.out_w, params.align_corners);
    Tensor y = Tensor::empty(upsampled_shape(x.shape(), params), x.options());
    const T* x_data = x.data<T>();
    T* y_data = y.data<T>();
    parallel_for(x.size(0) * params.out_h, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t row = begin; row < end; ++row) {
        const UpsampleTap& v = rows[static_cast<std::size_t>(row % params.out_h)];
        const T* picture = x_data + row / params.out_h * in_h * in_w * channels;
        for (std::int64_t q = 0; q < params.out_w; ++q) {
          const UpsampleTap& h = columns[static_cast<std::size_t>(q)];
          const T w00 = static_cast<T>((1 - v.lambda) * (1 - h.lambda));
          const T w01 = static_cast<T>((1 - v.lambda) * h.lambda);
          const T w10 = static_cast<T>(v.lambda * (1 - h.lambda));
          const T w11 = static_cast<T>(v.lambda * h.lambda);
          const T* x00 = picture + (v.i0 * in_w + h.i0) * channels;
          const T* x01 = picture + (v.i0 * in_w + h.i1) * channels;
          const T* x10 = picture + (v.i1 * in_w + h.i0) * channels;
          const T* x11 = picture + (v.i1 * in_w + h.i1) * channels;
          T* pixel = y_data + (row * params.out_w + q) * channels;
          for (std::int64_t c = 0; c < channels; ++c)
            pixel[c] = w00 * x00[c] + w01 * x01[c] + w10 * x10[c] + w11 * x11[c];
        }
      }
    });
    return y;
  });
}

// The transposed map: each output pixel gives its gradient to its four sources. Threads share pictures, whose
// gradients do not overlap.
Tensor upsample_bilinear2d_backward(const Tensor& grad_y, const Shape& x_shape,
                                    const UpsampleParams& params) {
  check_upsample_sizes(x_shape, params);
  check_shape("upsample_bilinear2d", "grad_y", grad_y, upsampled_shape(x_shape, params));
  return dispatch_float(grad_y.dtype(), "upsample_bilinear2d", [&]<class T>() {
    const std::int64_t in_h = x_shape[1], in_w = x_shape[2], channels = x_shape[3];
    const auto rows = taps(in_h, params.out_h, params.align_corners);
    const auto columns = taps(in_w, params.out_w, params.align_corners);
    Tensor grad_x = Tensor::zeros(x_shape, grad_y.options());
    const T* grad_y_data = grad_y.data<T>();
    T* grad_x_data = grad_x.data<T>();
    parallel_for(x_shape[0], 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t row = begin * params.out_h; row < end * params.out_h; ++row) {
        const UpsampleTap& v = rows[static_cast<std::size_t>(row % params.out_h)];
        T* picture = grad_x_data + row / params.out_h * in_h * in_w * channels;
        for (std::int64_t q = 0; q < params.out_w; ++q) {
          const UpsampleTap& h = columns[static_cast<std::size_t>(q)];
          const T* pixel = grad_y_data + (row * params.out_w + q) * channels;
          const auto give = [&](std::int64_t i, std::int64_t j, double weight) {
            T* to = picture + (i * in_w + j) * channels;
            const T w = static_cast<T>(weight);
            for (std::int64_t c = 0; c < channels; ++c) to[c] += w * pixel[c];
          };
          give(v.i0, h.i0, (1 - v.lambda) * (1 - h.lambda));
          give(v.i0, h.i1, (1 - v.lambda) * h.lambda);
          give(v.i1, h.i0, v.lambda * (1 - h.lambda));
          give(v.i1, h.i1, v.lambda * h.lambda);
        }
      }
    });
    return grad_x;
  });
}

}  // namespace dcl::tensor::cpu
