// The fully connected layer, float32 or float64, or bfloat16 x and y with float32 weight and bias:
//
//   y = x Wᵀ + bias         x […,I], weight W [O,I], bias [O] or undefined, y […,O]
//
// Throws, naming the argument and both shapes, where the sizes do not fit.
#pragma once

#include "tensor/tensor.h"

namespace dcl::tensor {

namespace cpu {
Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias);
/// dL/dx from dL/dy: dy W.
Tensor linear_backward_x(const Tensor& grad_y, const Tensor& weight);
/// dL/dW: dyᵀ x, summed over all rows.
Tensor linear_backward_weight(const Tensor& grad_y, const Tensor& x);
/// dL/dbias: the rows of dy added up.
Tensor linear_backward_bias(const Tensor& grad_y);
}  // namespace cpu

namespace cuda {
Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias);
Tensor linear_backward_x(const Tensor& grad_y, const Tensor& weight);
Tensor linear_backward_weight(const Tensor& grad_y, const Tensor& x);
Tensor linear_backward_bias(const Tensor& grad_y);
}  // namespace cuda

}  // namespace dcl::tensor
