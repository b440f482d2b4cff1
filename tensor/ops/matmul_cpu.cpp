#include "tensor/cpu/gemm.h"
#include "tensor/cpu/threads.h"
#include "tensor/ops/matmul.h"

namespace dcl::tensor::cpu {

namespace {

struct Sizes {
  std::int64_t batch = 1;
  std::int64_t m = 0, n = 0, k = 0;
  std::int64_t lda = 0, ldb = 0;
};

Sizes check_sizes(const Tensor& a, const Tensor& b, const MatmulParams& p) {
  check(a.defined(), "matmul: a is undefined");
  check(b.defined(), "matmul: b is undefined");
  check(a.dtype() == b.dtype(), "matmul: a is {}, b is {}; the types must be equal", a.str(), b.str());
  check(a.dim() == b.dim() && (a.dim() == 2 || a.dim() == 3),
        "matmul: a is {}, b is {}; expected two matrices, or two batches of them", a.shape().str(),
        b.shape().str());
  Sizes s;
  if (a.dim() == 3) {
    s.batch = a.size(0);
    check(b.size(0) == s.batch, "matmul: a has a batch of {}, b of {} (a {}, b {})", s.batch, b.size(0),
          a.shape().str(), b.shape().str());
  }
  s.m = a.size(p.transpose_a ? -1 : -2);
  s.k = a.size(p.transpose_a ? -2 : -1);
  s.n = b.size(p.transpose_b ? -2 : -1);
  const std::int64_t inner_b = b.size(p.transpose_b ? -1 : -2);
  check(s.k == inner_b, "matmul: the inner sizes are {} and {} (a {}{}, b {}{})", s.k, inner_b,
        a.shape().str(), p.transpose_a ? " transposed" : "", b.shape().str(),
        p.transpose_b ? " transposed" : "");
  s.lda = a.size(-1);
  s.ldb = b.size(-1);
  return s;
}

}  // namespace

Tensor matmul(const Tensor& a, const Tensor& b, const MatmulParams& params) {
  const Sizes s = check_sizes(a, b, params);
  return dispatch_float(a.dtype(), "matmul", [&]<class T>() {
    const bool batched = a.dim() == 3;
    Tensor y = Tensor::empty(batched ? Shape{s.batch, s.m, s.n} : Shape{s.m, s.n}, a.options());
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
