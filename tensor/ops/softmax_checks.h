// The checks of softmax and log_softmax, for both backends.
#pragma once

#include "tensor/tensor.h"

namespace dcl::tensor {

inline void check_softmax(const char* op, const Tensor& x) {
  check(x.defined(), "{}: x is undefined", op);
  check(x.dim() >= 1, "{}: x is [], expected at least one dimension", op);
}

inline void check_softmax_backward(const char* op, const Tensor& grad_y, const Tensor& y) {
  check_softmax(op, y);
  check_shape(op, "grad_y", grad_y, y.shape());
  check_dtype(op, "grad_y", grad_y, y.dtype());
}

}  // namespace dcl::tensor
