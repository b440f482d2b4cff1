// Rows divided by their length (L2), over the last dimension; PyTorch's F.normalize:
//
//   y[…,c] = x[…,c] / n[…]         n = max(|x|, eps), |x| = sqrt(Σ_c x²)
//
// x […,C], float32 or float64; lengths are added up in double. A row shorter than eps is divided by eps, so a
// row of zeros stays zeros. Throws when x has no dimension or eps is not positive.
#pragma once

#include "tensor/tensor.h"

namespace dcl::tensor {

namespace cpu {
Tensor normalize(const Tensor& x, double eps = 1e-12);
/// dL/dx from dL/dy.
Tensor normalize_backward(const Tensor& grad_y, const Tensor& x, double eps);
}  // namespace cpu

namespace cuda {
Tensor normalize(const Tensor& x, double eps = 1e-12);
Tensor normalize_backward(const Tensor& grad_y, const Tensor& x, double eps);
}  // namespace cuda

}  // namespace dcl::tensor
