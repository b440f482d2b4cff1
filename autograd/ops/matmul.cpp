#include "tensor/ops/matmul.h"

#include "autograd/ops.h"

namespace dcl::autograd {

Variable matmul(const Variable& a, const Variable& b, const tensor::MatmulParams& params) {
  check(a.defined(), "matmul: a is undefined");
  check(b.defined(), "matmul: b is undefined");
  return record("matmul", DCL_ON_DEVICE(a.value().device(), matmul(a.value(), b.value(), params)), {a, b},
                [a = a.value(), b = b.value(), params](const Tensor& grad_y, const Needs& needs) {
                  std::vector<Tensor> grads(2);
                  if (needs[0]) grads[0] = DCL_ON_DEVICE(a.device(), matmul_backward_a(grad_y, b, params));
                  if (needs[1]) grads[1] = DCL_ON_DEVICE(a.device(), matmul_backward_b(grad_y, a, params));
                  return grads;
                });
}

}  // namespace dcl::autograd
