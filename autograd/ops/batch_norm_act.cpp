#include "tensor/ops/batch_norm_act.h"

#include "autograd/ops.h"

namespace dcl::autograd {

Variable batch_norm_act(const Variable& x, const Variable& weight, const Variable& bias,
                        tensor::RunningStats& stats, const tensor::BatchNormParams& params,
                        const Variable& residual, const tensor::ChannelMoments& moments) {
  check(x.defined(), "batch_norm_act: x is undefined");
  check(weight.defined(), "batch_norm_act: weight is undefined");
  check(bias.defined(), "batch_norm_act: bias is undefined");
  const Tensor residual_value = residual.defined() ? residual.value() : Tensor();
  auto out = DCL_ON_DEVICE(x.value().device(), batch_norm_act(x.value(), weight.value(), bias.value(), stats,
                                                              params, residual_value, moments));
  // All but x, which may be made again, and y.
  const tensor::BatchNormSaved kept{{}, weight.value(), bias.value(), out.mean, out.invstd, {}};
  Remake remake;
  // One sweep over x makes y again: cheaper to compute twice than to keep, but on a GPU, whose memory is as
  // large as its bandwidth is short. A sum with a residual would need two more, and the sum before it.
  if (!x.value().device().is_cuda() && !residual.defined())
    remake = [kept, x = x.save(), params] {
      tensor::BatchNormSaved saved = kept;
      saved.x = x.get();
      return DCL_ON_DEVICE(saved.x.device(), batch_norm_act_again(std::move(saved), params));
    };
  // The sign before the ReLU follows from x alone unless there is a residual.
  const bool needs_y = params.relu && residual.defined();
  return record(
      "batch_norm_act", out.y, {x, weight, bias, residual},
      [saved = tensor::BatchNormSaved(kept), x = x.save(), y = needs_y ? out.y : Tensor(), params](
          Tensor grad_y, const Needs& needs) mutable {
        saved.x = x.take();
        saved.residual_y = std::move(y);
        auto grads = DCL_ON_DEVICE(saved.x.device(),
                                   batch_norm_act_backward(std::move(grad_y), std::move(saved), params,
                                                           {needs[0], needs[1], needs[2], needs[3]}));
        return std::vector<Tensor>{grads.x, grads.weight, grads.bias, grads.residual};
      },
      std::move(remake));
}

}  // namespace dcl::autograd
