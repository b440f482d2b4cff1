#include "tensor/ops/linear.h"

#include "autograd/ops.h"

namespace dcl::autograd {

Variable linear(const Variable& x, const Variable& weight, const Variable& bias) {
  check(x.defined(), "linear: x is undefined");
  check(weight.defined(), "linear: weight is undefined");
  const Tensor bias_value = bias.defined() ? bias.value() : Tensor();
  return record("linear", DCL_ON_DEVICE(x.value().device(), linear(x.value(), weight.value(), bias_value)),
                {x, weight, bias},
                [x = x.value(), weight = weight.value()](const Tensor& grad_y, const Needs& needs) {
                  std::vector<Tensor> grads(3);
                  if (needs[0]) grads[0] = DCL_ON_DEVICE(x.device(), linear_backward_x(grad_y, weight));
                  if (needs[1]) grads[1] = DCL_ON_DEVICE(x.device(), linear_backward_weight(grad_y, x));
                  if (needs[2]) grads[2] = DCL_ON_DEVICE(x.device(), linear_backward_bias(grad_y));
                  return grads;
                });
}

}  // namespace dcl::autograd
