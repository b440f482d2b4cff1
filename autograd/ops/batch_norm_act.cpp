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
  // All but x, which may be made again.
  tensor::BatchNormSaved saved{{}, weight.value(), bias.value(), out.mean, out.invstd, {}};
  if (params.relu && residual.defined()) saved.residual_y = out.y;
  const auto complete = [saved, x = x.save()] {
    tensor::BatchNormSaved all = saved;
    all.x = x.get();
    return all;
  };
  // One sweep over x makes y again: cheaper to compute twice than to keep.
  Remake remake;
  if (!residual.defined())
    remake = [complete, params] {
      const auto all = complete();
      return DCL_ON_DEVICE(all.x.device(), batch_norm_act_again(all, params));
    };
  return record(
      "batch_norm_act", out.y, {x, weight, bias, residual},
      [complete, params](const Tensor& grad_y, const Needs& needs) {
        auto grads = DCL_ON_DEVICE(
            grad_y.device(),
            batch_norm_act_backward(grad_y, complete(), params, {needs[0], needs[1], needs[2], needs[3]}));
        return std::vector<Tensor>{grads.x, grads.weight, grads.bias, grads.residual};
      },
      std::move(remake));
}

}  // namespace dcl::autograd
