#include "tensor/ops/matmul.h"

namespace dcl::tensor {

MatmulSizes matmul_sizes(const Tensor& a, const Tensor& b, const MatmulParams& params) {
  check(a.defined(), "matmul: a is undefined");
  check(b.defined(), "matmul: b is undefined");
  check(a.dtype() == b.dtype(), "matmul: a is {}, b is {}; the types must be equal", a.str(), b.str());
  check(a.dim() == b.dim() && (a.dim() == 2 || a.dim() == 3),
        "matmul: a is {}, b is {}; expected two matrices, or two batches of them", a.shape().str(),
        b.shape().str());
  MatmulSizes s;
  s.batched = a.dim() == 3;
  if (s.batched) {
    s.batch = a.size(0);
    check(b.size(0) == s.batch, "matmul: a has a batch of {}, b of {} (a {}, b {})", s.batch, b.size(0),
          a.shape().str(), b.shape().str());
  }
  s.m = a.size(params.transpose_a ? -1 : -2);
  s.k = a.size(params.transpose_a ? -2 : -1);
  s.n = b.size(params.transpose_b ? -2 : -1);
  const std::int64_t inner_b = b.size(params.transpose_b ? -1 : -2);
  check(s.k == inner_b, "matmul: the inner sizes are {} and {} (a {}{}, b {}{})", s.k, inner_b,
        a.shape().str(), params.transpose_a ? " transposed" : "", b.shape().str(),
        params.transpose_b ? " transposed" : "");
  s.lda = a.size(-1);
  s.ldb = b.size(-1);
  return s;
}

}  // namespace dcl::tensor
