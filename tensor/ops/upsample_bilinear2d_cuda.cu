#include "tensor/cuda/pictures.h"
#include "tensor/ops/upsample_bilinear2d.h"
#include "tensor/ops/upsample_bilinear2d_taps.h"

namespace dcl::tensor::cuda {

namespace {

// y [N,out_h,out_w,C]
template <class T, int Width>
__global__ void interpolate(PictureSizes out, UpsampleAxis rows, UpsampleAxis columns, const T* x, T* y) {
  for_each_pack<Width>(out, [&](std::int64_t n, std::int64_t p, int q, int c) {
    const UpsampleTap v = rows.tap(p);
    const UpsampleTap h = columns.tap(q);
    const T w00 = static_cast<T>((1 - v.lambda) * (1 - h.lambda));
    const T w01 = static_cast<T>((1 - v.lambda) * h.lambda);
    const T w10 = static_cast<T>(v.lambda * (1 - h.lambda));
    const T w11 = static_cast<T>(v.lambda * h.lambda);
    const auto at = [&](std::int64_t i, std::int64_t j) {
      return load_pack<Width>(x + ((n * rows.in + i) * columns.in + j) * out.channels + c);
    };
    const auto x00 = at(v.i0, h.i0), x01 = at(v.i0, h.i1), x10 = at(v.i1, h.i0), x11 = at(v.i1, h.i1);
    Pack<T, Width> pixel;
    for (int k = 0; k < Width; ++k)
      pixel.values[k] = w00 * x00.values[k] + w01 * x01.values[k] + w10 * x10.values[k] + w11 * x11.values[k];
    store_pack(y + ((n * rows.out + p) * columns.out + q) * out.channels + c, pixel);
  });
}

// Outputs [begin, end) of which those that take from input i are a part: positions between i − 1 and i + 1,
// and a pixel more on both sides for what rounding does to them.
struct Takers {
  std::int64_t begin;
  std::int64_t end;

  __device__ Takers(std::int64_t i, const UpsampleAxis& axis) : begin(0), end(axis.out) {
    if (axis.scale == 0) return;  // all are at 0
    const double shift = axis.align_corners ? 0 : 0.5;
    const double centre = static_cast<double>(i) + shift;
    begin = std::max(begin, static_cast<std::int64_t>(floor((centre - 1) / axis.scale - shift)) - 1);
    end = std::min(end, static_cast<std::int64_t>(ceil((centre + 1) / axis.scale - shift)) + 2);
  }
};

// dx [N,H,W,C] gathers from the outputs that take from each pixel, in the order in which the CPU gives.
template <class T, int Width>
__global__ void gather_gradient(PictureSizes in, UpsampleAxis rows, UpsampleAxis columns, const T* grad_y,
                                T* grad_x) {
  for_each_pack<Width>(in, [&](std::int64_t n, std::int64_t i, int j, int c) {
    const Takers takers_v(i, rows);
    const Takers takers_h(j, columns);
    T sums[Width] = {};
    for (std::int64_t p = takers_v.begin; p < takers_v.end; ++p) {
      const UpsampleTap v = rows.tap(p);
      if (v.i0 != i && v.i1 != i) continue;
      for (std::int64_t q = takers_h.begin; q < takers_h.end; ++q) {
        const UpsampleTap h = columns.tap(q);
        if (h.i0 != j && h.i1 != j) continue;
        const auto g = load_pack<Width>(grad_y + ((n * rows.out + p) * columns.out + q) * in.channels + c);
        const auto take = [&](bool mine, double weight) {
          if (!mine) return;
          const T w = static_cast<T>(weight);
          for (int k = 0; k < Width; ++k) sums[k] += w * g.values[k];
        };
        take(v.i0 == i && h.i0 == j, (1 - v.lambda) * (1 - h.lambda));
        take(v.i0 == i && h.i1 == j, (1 - v.lambda) * h.lambda);
        take(v.i1 == i && h.i0 == j, v.lambda * (1 - h.lambda));
        take(v.i1 == i && h.i1 == j, v.lambda * h.lambda);
      }
    }
    Pack<T, Width> pack;
    for (int k = 0; k < Width; ++k) pack.values[k] = sums[k];
    store_pack(grad_x + ((n * rows.in + i) * columns.in + j) * in.channels + c, pack);
  });
}

}  // namespace

Tensor upsample_bilinear2d(const Tensor& x, const UpsampleParams& params) {
  check(x.defined(), "upsample_bilinear2d: x is undefined");
  check_upsample_sizes(x.shape(), params);
  return dispatch_float(x.dtype(), "upsample_bilinear2d", [&]<class T>() {
    const UpsampleAxis rows(x.size(1), params.out_h, params.align_corners);
    const UpsampleAxis columns(x.size(2), params.out_w, params.align_corners);
    Tensor y = Tensor::empty(upsampled_shape(x.shape(), params), x.options());
    with_pack_width<T>(x.size(3), {x.raw()}, [&]<int Width>() {
      const auto out = picture_sizes("upsample_bilinear2d", y.shape());
      launch("upsample_bilinear2d", interpolate<T, Width>, launch_by_rows<Width>(out), out, rows, columns,
             x.data<T>(), y.data<T>());
    });
    return y;
  });
}

// The transposed map: each pixel takes from all output pixels that it gave to.
Tensor upsample_bilinear2d_backward(const Tensor& grad_y, const Shape& x_shape,
                                    const UpsampleParams& params) {
  check_upsample_sizes(x_shape, params);
  check_shape("upsample_bilinear2d", "grad_y", grad_y, upsampled_shape(x_shape, params));
  return dispatch_float(grad_y.dtype(), "upsample_bilinear2d", [&]<class T>() {
    const UpsampleAxis rows(x_shape[1], params.out_h, params.align_corners);
    const UpsampleAxis columns(x_shape[2], params.out_w, params.align_corners);
    Tensor grad_x = Tensor::empty(x_shape, grad_y.options());
    with_pack_width<T>(x_shape[3], {grad_y.raw()}, [&]<int Width>() {
      const auto in = picture_sizes("upsample_bilinear2d", x_shape);
      launch("upsample_bilinear2d", gather_gradient<T, Width>, launch_by_rows<Width>(in), in, rows, columns,
             grad_y.data<T>(), grad_x.data<T>());
    });
    return grad_x;
  });
}

}  // namespace dcl::tensor::cuda
