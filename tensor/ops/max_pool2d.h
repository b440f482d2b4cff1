// The largest value of each window, channel by channel:
//
//   y[n,p,q,c] = max over r,s of x[n, p·stride + r − padding, q·stride + s − padding, c],  0 <= r,s < kernel
//
//   x [N,H,W,C] float32 or float64; y [N,Ho,Wo,C], Ho = (H + 2·padding − kernel)/stride + 1, Wo likewise.
//
// What lies outside x does not take part (it is not 0). NaN wins over every number. Of equal values the first
// of the window, row by row, is the largest; it alone gets the gradient.
//
// Throws unless x has four dimensions, 1 <= kernel <= 15, stride >= 1, 0 <= padding <= kernel/2, and the
// kernel fits into the padded picture.
#pragma once

#include <cstdint>

#include "tensor/tensor.h"

namespace dcl::tensor {

struct MaxPool2dParams {
  std::int64_t kernel = 2;
  std::int64_t stride = 2;
  std::int64_t padding = 0;
};

struct MaxPool2dResult {
  Tensor y;
  Tensor tap;  // uint8, of y's shape: r·kernel + s of the largest value
};

namespace cpu {
MaxPool2dResult max_pool2d(const Tensor& x, const MaxPool2dParams& params);
/// dL/dx, of shape `x_shape`, from dL/dy.
Tensor max_pool2d_backward(const Tensor& grad_y, const Tensor& tap, const Shape& x_shape,
                           const MaxPool2dParams& params);
}  // namespace cpu

namespace cuda {
MaxPool2dResult max_pool2d(const Tensor& x, const MaxPool2dParams& params);
Tensor max_pool2d_backward(const Tensor& grad_y, const Tensor& tap, const Shape& x_shape,
                           const MaxPool2dParams& params);
}  // namespace cuda

}  // namespace dcl::tensor
