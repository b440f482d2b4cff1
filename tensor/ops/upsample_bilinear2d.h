// Pictures resized by bilinear interpolation, larger or smaller (without anti-aliasing), as PyTorch's
// F.interpolate(mode="bilinear") does it. For each output row p (columns likewise):
//
//   align_corners = false:  h = max(0, (p + 1/2) H/out_h − 1/2)     pixel centres are aligned
//   align_corners = true:   h = p (H − 1)/(out_h − 1)               corner pixels are aligned; 0 when out_h =
//   1 h0 = ⌊h⌋, h1 = min(h0 + 1, H − 1), λ = h − h0 y[p] = (1 − λ) x[h0] + λ x[h1]
//
// x [N,H,W,C] float32 or float64, y [N,out_h,out_w,C]. Throws unless out_h and out_w are at least 1 and,
// where x has pictures and channels, H and W too.
#pragma once

#include "tensor/tensor.h"

namespace dcl::tensor {

struct UpsampleParams {
  std::int64_t out_h = 0;
  std::int64_t out_w = 0;
  bool align_corners = false;
};

namespace cpu {
Tensor upsample_bilinear2d(const Tensor& x, const UpsampleParams& params);
/// dL/dx from dL/dy.
Tensor upsample_bilinear2d_backward(const Tensor& grad_y, const Shape& x_shape, const UpsampleParams& params);
}  // namespace cpu

namespace cuda {
Tensor upsample_bilinear2d(const Tensor& x, const UpsampleParams& params);
Tensor upsample_bilinear2d_backward(const Tensor& grad_y, const Shape& x_shape, const UpsampleParams& params);
}  // namespace cuda

}  // namespace dcl::tensor
