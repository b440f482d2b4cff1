// Softmax and its logarithm over the last dimension, float32 or float64:
//
//   softmax:      y_c = exp(x_c − m) / Σ_k exp(x_k − m)          m = max_k x_k
//   log_softmax:  y_c = x_c − m − log Σ_k exp(x_k − m)
//
// x […,C]. Sums run in double. A logit of −∞ has probability 0; a row of nothing but −∞, or one with NaN or
// +∞, gives NaN. Throws when x has no dimension. Backward takes the result y.
#pragma once

#include "tensor/tensor.h"

namespace dcl::tensor {

namespace cpu {
Tensor softmax(const Tensor& x);
Tensor softmax_backward(const Tensor& grad_y, const Tensor& y);
Tensor log_softmax(const Tensor& x);
Tensor log_softmax_backward(const Tensor& grad_y, const Tensor& y);
}  // namespace cpu

namespace cuda {
Tensor softmax(const Tensor& x);
Tensor softmax_backward(const Tensor& grad_y, const Tensor& y);
Tensor log_softmax(const Tensor& x);
Tensor log_softmax_backward(const Tensor& grad_y, const Tensor& y);
}  // namespace cuda

}  // namespace dcl::tensor
