// The checks of normalize, for both backends.
#pragma once

#include "tensor/tensor.h"

namespace dcl::tensor {

inline void check_normalize(const Tensor& x, double eps) {
  check(x.defined(), "normalize: x is undefined");
  check(x.dim() >= 1, "normalize: x is [], expected at least one dimension");
  check(eps > 0, "normalize: eps is {}, expected a positive number", eps);
}

inline void check_normalize_backward(const Tensor& grad_y, const Tensor& x, double eps) {
  check_normalize(x, eps);
  check_shape("normalize", "grad_y", grad_y, x.shape());
  check_dtype("normalize", "grad_y", grad_y, x.dtype());
}

}  // namespace dcl::tensor
