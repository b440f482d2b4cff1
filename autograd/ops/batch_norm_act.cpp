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
  // All but x and, with a residual, y, which may be made again.
  const tensor::BatchNormSaved kept{{}, weight.value(), bias.value(), out.mean, out.invstd, {}};
  const auto with_x = [kept, x = x.save()] {
    tensor::BatchNormSaved saved = kept;
    saved.x = x.get();
    return saved;
  };
  Remake remake;
  if (x.value().device().is_cuda()) {
    // Kept: a GPU's memory is as large as its bandwidth is short.
  } else if (!residual.defined()) {
    // One sweep over x makes y again: cheaper to compute twice than to keep.
    remake = Remake([with_x, params] {
      auto saved = with_x();
      return DCL_ON_DEVICE(saved.x.device(), batch_norm_act_again(std::move(saved), params));
    });
  } else if (x.save().is_made_again() && x.value().dtype() == tensor::DType::bfloat16) {
    // A sum of a residual block hangs on the one before it, so that each is made once and stays until the
    // walk has passed its block: the first stage's are made when the other stages' memory is free again.
    remake = Remake(
        [with_x, residual = residual.save(), params] {
          const Tensor before = residual.get();  // first: x need not wait for all the blocks before
          auto saved = with_x();
          return DCL_ON_DEVICE(saved.x.device(), batch_norm_act_again(std::move(saved), params, before));
        },
        Remake::Stays::yes);
  }
  // The sign before the ReLU follows from x alone unless there is a residual.
  const bool needs_y = params.relu && residual.defined();
  return record(
      "batch_norm_act", out.y, {x, weight, bias, residual},
      [saved = tensor::BatchNormSaved(kept), x = x.save(), y = needs_y && !remake ? out.y : Tensor(),
       remake = needs_y ? remake : Remake(), params](Tensor grad_y, const Needs& needs) mutable {
        saved.x = x.take();
        saved.residual_y = remake ? remake() : std::move(y);
        auto grads = DCL_ON_DEVICE(saved.x.device(),
                                   batch_norm_act_backward(std::move(grad_y), std::move(saved), params,
                                                           {needs[0], needs[1], needs[2], needs[3]}));
        return std::vector<Tensor>{grads.x, grads.weight, grads.bias, grads.residual};
      },
      remake);
}

}  // namespace dcl::autograd
