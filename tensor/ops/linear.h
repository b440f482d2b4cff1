// The fully connected layer, float32 or float64, or bfloat16 x and y with float32 weight and bias:
//
//   y = x Wᵀ + bias         x […,I], weight W [O,I], bias [O] or undefined, y […,O]
//
// Throws, naming the argument and both shapes, where the sizes do not fit.
#pragma once

#include "tensor/tensor.h"

namespace dcl::tensor {

struct LinearSizes {
  std::int64_t rows = 0;  // of x: all its sizes but the last, multiplied
  std::int64_t in = 0;    // I
  std::int64_t out = 0;   // O
};
// Of the four functions below; each throws as above.
LinearSizes linear_sizes(const Tensor& x, const Tensor& weight, const Tensor& bias);
LinearSizes linear_backward_x_sizes(const Tensor& grad_y, const Tensor& weight);
LinearSizes linear_backward_weight_sizes(const Tensor& grad_y, const Tensor& x);
void check_linear_backward_bias(const Tensor& grad_y);
/// `shape` with another last size.
Shape with_last_size(const Shape& shape, std::int64_t size);

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
