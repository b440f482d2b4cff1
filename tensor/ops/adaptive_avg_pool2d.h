// The mean over out_h × out_w bins that cover the picture, PyTorch's AdaptiveAvgPool2d:
//
//   y[n,p,q,c] = mean of x[n,h,w,c] over ⌊pH/out_h⌋ <= h < ⌈(p+1)H/out_h⌉ and the same for w
//
//   x [N,H,W,C] float32 or float64, y [N,out_h,out_w,C]; 1 × 1 is the mean of the whole picture.
//
// Neighbouring bins share a row or column where the sizes do not divide. Sums are added up in double. Throws
// unless x has four dimensions with H, W >= 1 and out_h, out_w >= 1.
#pragma once

#include <cstdint>

#include "tensor/tensor.h"

namespace dcl::tensor {

namespace cpu {
Tensor adaptive_avg_pool2d(const Tensor& x, std::int64_t out_h, std::int64_t out_w);
/// dL/dx, of shape `x_shape`, from dL/dy.
Tensor adaptive_avg_pool2d_backward(const Tensor& grad_y, const Shape& x_shape);
}  // namespace cpu

namespace cuda {
Tensor adaptive_avg_pool2d(const Tensor& x, std::int64_t out_h, std::int64_t out_w);
Tensor adaptive_avg_pool2d_backward(const Tensor& grad_y, const Shape& x_shape);
}  // namespace cuda

}  // namespace dcl::tensor
