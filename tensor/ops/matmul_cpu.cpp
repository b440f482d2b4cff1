#include "tensor/cpu/gemm.h"
#include "tensor/cpu/threads.h"
#include "tensor/ops/matmul.h"

namespace dcl::tensor::cpu {

Tensor matmul(const Tensor& a, const Tensor& b, const MatmulParams& params) {
  const MatmulSizes s = matmul_sizes(a, b, params);
  return dispatch_float(a.dtype(), "matmul", [&]<class T>() {
    Tensor y = Tensor::empty(s.y_shape(), a.options());
    count_work({2 * static_cast<double>(s.batch * s.m * s.n * s.k), bytes_of({&a, &b, &y})});
    const T* a_data = a.data<T>();
    const T* b_data = b.data<T>();
    T* y_data = y.data<T>();
    if (s.batch < num_threads()) {
      for (std::int64_t i = 0; i < s.batch; ++i)
        parallel_gemm(params.transpose_a, params.transpose_b, s.m, s.n, s.k, T(1), a_data + i * s.m * s.k,
                      s.lda, b_data + i * s.k * s.n, s.ldb, T(0), y_data + i * s.m * s.n, s.n);
    } else {
      parallel_for(s.batch, 1, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i)
          gemm(params.transpose_a, params.transpose_b, s.m, s.n, s.k, T(1), a_data + i * s.m * s.k, s.lda,
               b_data + i * s.k * s.n, s.ldb, T(0), y_data + i * s.m * s.n, s.n);
      });
    }
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

}  // namespace dcl::tensor::cpu
