#include "tensor/ops/conv2d.h"

#include "autograd/ops.h"
#include "tensor/ops/cast.h"
#include "tensor/ops/reduce.h"

namespace dcl::autograd {

Variable conv2d(const Variable& x, const Variable& weight, const Variable& bias,
                const tensor::Conv2dParams& params) {
  check(x.defined(), "conv2d: x is undefined");
  check(weight.defined(), "conv2d: weight is undefined");
  const Tensor bias_value = bias.defined() ? bias.value() : Tensor();
  return record(
      "conv2d", DCL_ON_DEVICE(x.value().device(), conv2d(x.value(), weight.value(), bias_value, params)),
      {x, weight, bias},
      [x = x.save(), weight = weight.value(), params](const Tensor& grad_y, const Needs& needs) {
        const auto device = grad_y.device();
        std::vector<Tensor> grads(3);
        if (needs[0])
          grads[0] = DCL_ON_DEVICE(device, conv2d_backward_input(grad_y, weight, x.shape(), params));
        if (needs[1]) {
          const Tensor x_value = x.get();
          grads[1] = DCL_ON_DEVICE(device, conv2d_backward_weight(grad_y, x_value, weight.shape(), params));
        }
        if (needs[2]) {
          const Tensor grad = DCL_ON_DEVICE(device, cast(grad_y, weight.dtype()));
          grads[2] = DCL_ON_DEVICE(device, sum(grad, {0, 1, 2}));
        }
        return grads;
      });
}

}  // namespace dcl::autograd
