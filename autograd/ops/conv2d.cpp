#include "tensor/ops/conv2d.h"

#include "autograd/ops.h"
#include "tensor/ops/cast.h"
#include "tensor/ops/reduce.h"

namespace dcl::autograd {

namespace {

// Up to how many terms a sum a convolution is made again: cheap for the memory that it fills. ResNet-50's
// first stage takes a quarter of all activations, and half of that are outputs of 1×1 convolutions of 64
// channels, which cost 2 % of a step's operations. In bfloat16, where state in float32 is the larger half of
// the memory and products are cheaper, also those of 128 channels in the second stage. On a GPU nothing is:
// its memory is as large as its bandwidth is short.
std::int64_t most_terms_made_again(const Tensor& y) {
  if (y.device().is_cuda()) return 0;
  return y.dtype() == tensor::DType::bfloat16 ? 128 : 64;
}

}  // namespace

Variable conv2d(const Variable& x, const Variable& weight, const Variable& bias,
                const tensor::Conv2dParams& params, tensor::ChannelMoments* moments) {
  check(x.defined(), "conv2d: x is undefined");
  check(weight.defined(), "conv2d: weight is undefined");
  const Tensor bias_value = bias.defined() ? bias.value() : Tensor();
  Tensor y =
      DCL_ON_DEVICE(x.value().device(), conv2d(x.value(), weight.value(), bias_value, params, moments));
  Remake remake;
  if (weight.value().numel() <= most_terms_made_again(y) * weight.value().size(0))
    remake = [x = x.save(), weight = weight.value(), bias_value, params] {
      const Tensor x_value = x.get();
      return DCL_ON_DEVICE(x_value.device(), conv2d(x_value, weight, bias_value, params));
    };
  return record(
      "conv2d", std::move(y), {x, weight, bias},
      [x = x.save(), weight = weight.value(), params](const Tensor& grad_y, Needs& needs) {
        const auto device = grad_y.device();
        std::vector<Tensor> grads(3);
        if (needs[0])
          grads[0] = DCL_ON_DEVICE(
              device, conv2d_backward_input(grad_y, weight, x.shape(), params, needs.take_sum(0)));
        if (needs[1]) {
          const Tensor x_value = x.get();
          grads[1] = DCL_ON_DEVICE(device, conv2d_backward_weight(grad_y, x_value, weight.shape(), params));
        }
        if (needs[2]) {
          const Tensor grad = DCL_ON_DEVICE(device, cast(grad_y, weight.dtype()));
          grads[2] = DCL_ON_DEVICE(device, sum(grad, {0, 1, 2}));
        }
        return grads;
      },
      std::move(remake));
}

}  // namespace dcl::autograd
