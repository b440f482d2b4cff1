#include "tensor/ops/batch_norm_act.h"

#include "autograd/ops.h"

namespace dcl::autograd {

Variable batch_norm_act(const Variable& x, const Variable& weight, const Variable& bias,
                        tensor::RunningStats& stats, const tensor::BatchNormParams& params,
                        const Variable& residual) {
  check(x.defined(), "batch_norm_act: x is undefined");
  check(weight.defined(), "batch_norm_act: weight is undefined");
  check(bias.defined(), "batch_norm_act: bias is undefined");
  const Tensor residual_value = residual.defined() ? residual.value() : Tensor();
  auto out = DCL_ON_DEVICE(x.value().device(), batch_norm_act(x.value(), weight.value(), bias.value(), stats,
                                                              params, residual_value));
  tensor::BatchNormSaved saved{x.value(), weight.value(), bias.value(), out.mean, out.invstd, {}};
  if (params.relu && residual.defined()) saved.residual_y = out.y;
  // One sweep over x makes y again: cheaper to compute twice than to keep.
  Remake remake;
  if (!residual.defined())
    remake = [saved, params] { return DCL_ON_DEVICE(saved.x.device(), batch_norm_act_again(saved, params)); };
  return record(
      "batch_norm_act", out.y, {x, weight, bias, residual},
      [saved = std::move(saved), params](const Tensor& grad_y, const Needs& needs) {
        auto grads = DCL_ON_DEVICE(
            grad_y.device(),
            batch_norm_act_backward(grad_y, saved, params, {needs[0], needs[1], needs[2], needs[3]}));
        return std::vector<Tensor>{grads.x, grads.weight, grads.bias, grads.residual};
      },
      std::move(remake));
}

}  // namespace dcl::autograd
