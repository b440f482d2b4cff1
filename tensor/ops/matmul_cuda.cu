#include "tensor/cuda/blas.h"
#include "tensor/cuda/kernel.h"
#include "tensor/ops/matmul.h"

namespace dcl::tensor::cuda {

Tensor matmul(const Tensor& a, const Tensor& b, const MatmulParams& params) {
  const MatmulSizes s = matmul_sizes(a, b, params);
  return dispatch_float(a.dtype(), "matmul", [&]<class T>() {
    Tensor y = Tensor::empty(s.y_shape(), a.options());
    count_work({2 * static_cast<double>(s.batch * s.m * s.n * s.k), bytes_of({&a, &b, &y})});
    gemm("matmul",
         {.m = s.m,
          .n = s.n,
          .k = s.k,
          .transpose_a = params.transpose_a,
          .transpose_b = params.transpose_b,
          .lda = s.lda,
          .ldb = s.ldb,
          .batch = s.batch,
          .stride_a = s.m * s.k,
          .stride_b = s.k * s.n,
          .stride_c = s.m * s.n,
          .input = dtype_of<T>,
          .output = dtype_of<T>},
         a.raw(), b.raw(), y.raw());
    return y;
  });
}

// y = op(a) op(b):  d op(a) = dy op(b)ᵀ, and da is that, or its transpose op(b) dyᵀ.
Tensor matmul_backward_a(const Tensor& grad_y, const Tensor& b, const MatmulParams& params) {
  if (params.transpose_a) return matmul(b, grad_y, {params.transpose_b, true});
  return matmul(grad_y, b, {false, !params.transpose_b});
}

// d op(b) = op(a)ᵀ dy, and db is that, or its transpose dyᵀ op(a).
Tensor matmul_backward_b(const Tensor& grad_y, const Tensor& a, const MatmulParams& params) {
  if (params.transpose_b) return matmul(grad_y, a, {true, params.transpose_a});
  return matmul(a, grad_y, {!params.transpose_a, false});
}

}  // namespace dcl::tensor::cuda
