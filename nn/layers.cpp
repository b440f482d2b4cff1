#include "nn/layers.h"

#include "autograd/ops.h"

namespace dcl::nn {

Conv2d::Conv2d(const Conv2dOptions& options, tensor::TensorOptions tensors) : params_(options.params) {
  const auto [in, out, kernel, params, with_bias] = options;
  check(in > 0 && out > 0 && kernel > 0,
        "conv2d: {} input channels, {} output channels, kernel {}: all must be positive", in, out, kernel);
  check(params.groups > 0 && in % params.groups == 0 && out % params.groups == 0,
        "conv2d: {} groups do not divide {} input and {} output channels", params.groups, in, out);
  weight = add_parameter("weight", Tensor::zeros({out, kernel, kernel, in / params.groups}, tensors));
  if (with_bias) bias = add_parameter("bias", Tensor::zeros({out}, tensors));
}

Variable Conv2d::forward(const Variable& x) { return autograd::conv2d(x, weight, bias, params_); }

NormInput Conv2d::forward_for(const BatchNorm2d& next, const Variable& x) {
  if (!next.wants_moments()) return forward(x);
  tensor::ChannelMoments moments;
  Variable y = autograd::conv2d(x, weight, bias, params_, &moments);
  return {std::move(y), std::move(moments)};
}

Linear::Linear(std::int64_t in_features, std::int64_t out_features, tensor::TensorOptions tensors) {
  check(in_features > 0 && out_features > 0, "linear: {} inputs and {} outputs: both must be positive",
        in_features, out_features);
  weight = add_parameter("weight", Tensor::zeros({out_features, in_features}, tensors));
  bias = add_parameter("bias", Tensor::zeros({out_features}, tensors));
}

Variable Linear::forward(const Variable& x) { return autograd::linear(x, weight, bias); }

Variable Relu::forward(const Variable& x) { return autograd::relu(x); }

BatchNorm2d::BatchNorm2d(const BatchNorm2dOptions& options, tensor::TensorOptions tensors)
    : options_(options) {
  check(options.channels > 0 && options.groups > 0,
        "batch_norm: {} channels in {} groups: both must be positive", options.channels, options.groups);
  const tensor::Shape channels{options.channels};
  weight = add_parameter("weight", Tensor::full(channels, 1.0, tensors));
  bias = add_parameter("bias", Tensor::zeros(channels, tensors));
  stats_.mean = add_buffer("running_mean", Tensor::zeros(channels, tensors));
  stats_.var = add_buffer("running_var", Tensor::full(channels, 1.0, tensors));
  num_batches_tracked_ = add_buffer("num_batches_tracked", Tensor::zeros({}, {tensor::DType::int64, {}}));
}

Variable BatchNorm2d::normalise(const NormInput& input, bool relu, const Variable& residual) {
  if (training()) ++*num_batches_tracked_.data<std::int64_t>();
  return autograd::batch_norm_act(input.x, weight, bias, stats_,
                                  {.training = training(),
                                   .momentum = options_.momentum,
                                   .eps = options_.eps,
                                   .relu = relu,
                                   .groups = training() ? options_.groups : 1},
                                  residual, input.moments);
}

Sequential::Sequential(std::vector<std::unique_ptr<Layer>> layers) : layers_(std::move(layers)) {
  for (std::size_t i = 0; i < layers_.size(); ++i) add_module(std::to_string(i), *layers_[i]);
}

Variable Sequential::forward(const Variable& x) {
  Variable y = x;
  for (const auto& layer : layers_) y = layer->forward(y);
  return y;
}

Layer& Sequential::operator[](std::size_t i) {
  check(i < layers_.size(), "sequential: layer {} of {} does not exist", i, layers_.size());
  return *layers_[i];
}

}  // namespace dcl::nn
