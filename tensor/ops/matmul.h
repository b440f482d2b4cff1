// Products of matrices, float32 or float64:
//
//   y = op(a) op(b)         op(a) [M,K], op(b) [K,N], y [M,N]; op transposes where the parameters say so
//   y[i] = op(a[i]) op(b[i])     the same for every entry of a batch: a [B,…], b [B,…], y [B,M,N]
//
// Throws, naming both shapes, unless both have two dimensions or both three with equal first sizes, and the
// inner sizes are equal. K = 0 gives zeros.
#pragma once

#include "tensor/tensor.h"

namespace dcl::tensor {

struct MatmulParams {
  bool transpose_a = false;  // a is stored [K,M]
  bool transpose_b = false;  // b is stored [N,K]
};

/// y = op(a) op(b) of one pair of matrices is [m,n], a sum over k; rows of a and b lie lda and ldb apart.
struct MatmulSizes {
  std::int64_t batch = 1;
  std::int64_t m = 0, n = 0, k = 0;
  std::int64_t lda = 0, ldb = 0;
  bool batched = false;

  Shape y_shape() const { return batched ? Shape{batch, m, n} : Shape{m, n}; }
};
/// Throws as above.
MatmulSizes matmul_sizes(const Tensor& a, const Tensor& b, const MatmulParams& params);

namespace cpu {
Tensor matmul(const Tensor& a, const Tensor& b, const MatmulParams& params = {});
/// dL/da from dL/dy.
Tensor matmul_backward_a(const Tensor& grad_y, const Tensor& b, const MatmulParams& params);
/// dL/db from dL/dy.
Tensor matmul_backward_b(const Tensor& grad_y, const Tensor& a, const MatmulParams& params);
}  // namespace cpu

namespace cuda {
Tensor matmul(const Tensor& a, const Tensor& b, const MatmulParams& params = {});
Tensor matmul_backward_a(const Tensor& grad_y, const Tensor& b, const MatmulParams& params);
Tensor matmul_backward_b(const Tensor& grad_y, const Tensor& a, const MatmulParams& params);
}  // namespace cuda

}  // namespace dcl::tensor
