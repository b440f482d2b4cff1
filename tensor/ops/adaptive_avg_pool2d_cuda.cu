#include "tensor/cuda/pictures.h"
#include "tensor/ops/adaptive_avg_pool2d.h"
#include "tensor/ops/adaptive_avg_pool2d_bins.h"

namespace dcl::tensor::cuda {

namespace {

// y [N,out_h,out_w,C]: each thread adds up the bin of its channels.
template <class T, int Width>
__global__ void mean_of_bins(PictureSizes out, AdaptivePooling s, const T* x, T* y) {
  for_each_pack<Width>(out, [&](std::int64_t n, std::int64_t p, int q, int c) {
    const PoolingBin rows(p, s.out_h, s.in_h);
    const PoolingBin columns(q, s.out_w, s.in_w);
    double sums[Width] = {};
    for (std::int64_t h = rows.begin; h < rows.end; ++h) {
      const T* pixel = x + ((n * s.in_h + h) * s.in_w + columns.begin) * s.channels + c;
      for (std::int64_t w = columns.begin; w < columns.end; ++w, pixel += s.channels) {
        const auto value = load_pack<Width>(pixel);
        for (int k = 0; k < Width; ++k) sums[k] += static_cast<double>(widened(value.values[k]));
      }
    }
    const double area = static_cast<double>(rows.length() * columns.length());
    Pack<T, Width> mean;
    for (int k = 0; k < Width; ++k) mean.values[k] = static_cast<T>(static_cast<Compute<T>>(sums[k] / area));
    store_pack(y + ((n * s.out_h + p) * s.out_w + q) * s.channels + c, mean);
  });
}

// dx [N,H,W,C] gathers from the bins over each pixel.
template <class T, int Width>
__global__ void gather_shares(PictureSizes in, AdaptivePooling s, const T* grad_y, T* grad_x) {
  using C = Compute<T>;
  for_each_pack<Width>(in, [&](std::int64_t n, std::int64_t h, int w, int c) {
    const PoolingBin rows(h, s.in_h, s.out_h);
    const PoolingBin columns(w, s.in_w, s.out_w);
    C sums[Width] = {};
    for (std::int64_t p = rows.begin; p < rows.end; ++p)
      for (std::int64_t q = columns.begin; q < columns.end; ++q) {
        const std::int64_t area =
            PoolingBin(p, s.out_h, s.in_h).length() * PoolingBin(q, s.out_w, s.in_w).length();
        const C share = C(1) / static_cast<C>(area);
        const auto g = load_pack<Width>(grad_y + ((n * s.out_h + p) * s.out_w + q) * s.channels + c);
        for (int k = 0; k < Width; ++k) sums[k] += share * widened(g.values[k]);
      }
    Pack<T, Width> rounded;
    for (int k = 0; k < Width; ++k) rounded.values[k] = static_cast<T>(sums[k]);
    store_pack(grad_x + ((n * s.in_h + h) * s.in_w + w) * s.channels + c, rounded);
  });
}

}  // namespace

Tensor adaptive_avg_pool2d(const Tensor& x, std::int64_t out_h, std::int64_t out_w) {
  check(x.defined(), "adaptive_avg_pool2d: x is undefined");
  const AdaptivePooling s(x.shape(), out_h, out_w);
  return dispatch_activation(x.dtype(), "adaptive_avg_pool2d", [&]<class T>() {
    Tensor y = Tensor::empty(s.out(), x.options());
    with_pack_width<T>(s.channels, {x.raw()}, [&]<int Width>() {
      const auto out = picture_sizes("adaptive_avg_pool2d", s.out());
      launch("adaptive_avg_pool2d", mean_of_bins<T, Width>, launch_by_rows<Width>(out), out, s, x.data<T>(),
             y.data<T>());
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
    Tensor grad_x = Tensor::empty(x_shape, grad_y.options());
    with_pack_width<T>(s.channels, {grad_y.raw()}, [&]<int Width>() {
      const auto in = picture_sizes("adaptive_avg_pool2d", x_shape);
      launch("adaptive_avg_pool2d", gather_shares<T, Width>, launch_by_rows<Width>(in), in, s,
             grad_y.data<T>(), grad_x.data<T>());
    });
    return grad_x;
  });
}

}  // namespace dcl::tensor::cuda
