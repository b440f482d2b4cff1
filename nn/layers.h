// The layers. Weights of convolutions and linear layers start as zeros; nn/init.h fills them.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "nn/module.h"
#include "tensor/ops/batch_norm_act.h"
#include "tensor/ops/conv2d.h"
#include "tensor/ops/max_pool2d.h"

namespace dcl::nn {

struct Conv2dOptions {
  std::int64_t in_channels = 0;
  std::int64_t out_channels = 0;
  std::int64_t kernel = 1;
  tensor::Conv2dParams params = {};
  bool bias = false;
};

/// What batch normalisation takes: x, and of its channels' moments what whoever made x knows.
struct NormInput {
  NormInput(Variable input, tensor::ChannelMoments known = {})  // NOLINT(google-explicit-constructor)
      : x(std::move(input)), moments(std::move(known)) {}
  Variable x;
  tensor::ChannelMoments moments;
};

class BatchNorm2d;

/// x [N,H,W,in_channels] -> [N,Ho,Wo,out_channels]; weight [out,k,k,in/groups], bias [out] or none.
class Conv2d final : public Layer {
 public:
  explicit Conv2d(const Conv2dOptions& options, tensor::TensorOptions tensors = {});
  Variable forward(const Variable& x) override;
  /// The same for `next` to normalise: with the moments of the result where it wants them.
  NormInput forward_for(const BatchNorm2d& next, const Variable& x);
  Variable weight;
  Variable bias;  // undefined without

 private:
  tensor::Conv2dParams params_;
};

/// x [...,in] -> [...,out]: y = x Wᵀ + b; weight [out,in], bias [out].
class Linear final : public Layer {
 public:
  Linear(std::int64_t in_features, std::int64_t out_features, tensor::TensorOptions tensors = {});
  Variable forward(const Variable& x) override;
  Variable weight;
  Variable bias;
};

class Relu final : public Layer {
 public:
  Variable forward(const Variable& x) override;
};

struct BatchNorm2dOptions {
  std::int64_t channels = 0;
  std::int64_t groups = 1;  // consecutive chunks of the batch, each normalised on its own in training
  double momentum = 0.1;
  double eps = 1e-5;
};

/// Batch normalisation over all but the last dimension, with the residual sum and the ReLU that follow it in
/// a ResNet folded in. weight 1, bias 0, running mean 0 and variance 1 at first. Ioffe and Szegedy, ICML
/// 2015.
class BatchNorm2d final : public Layer {
 public:
  explicit BatchNorm2d(const BatchNorm2dOptions& options, tensor::TensorOptions tensors = {});
  /// Normalisation alone.
  Variable forward(const Variable& x) override { return normalise(x, false, {}); }
  Variable forward(const NormInput& input) { return normalise(input, false, {}); }
  Variable forward_relu(const NormInput& input) { return normalise(input, true, {}); }
  /// relu(bn(x) + residual)
  Variable forward_add_relu(const NormInput& input, const Variable& residual) {
    return normalise(input, true, residual);
  }
  /// True where forward reads the moments of all rows of its input.
  bool wants_moments() const { return training() && options_.groups == 1; }

  Variable weight;
  Variable bias;

 private:
  Variable normalise(const NormInput& input, bool relu, const Variable& residual);

  BatchNorm2dOptions options_;
  tensor::RunningStats stats_;
  Tensor num_batches_tracked_;  // int64, no dimensions
};

/// Layers one after the other, named "0", "1", … in PyTorch's way.
class Sequential final : public Layer {
 public:
  explicit Sequential(std::vector<std::unique_ptr<Layer>> layers);
  Variable forward(const Variable& x) override;
  /// Layer i; throws when there is none.
  Layer& operator[](std::size_t i);

 private:
  std::vector<std::unique_ptr<Layer>> layers_;
};

/// Sequential of layers given one by one: `sequential(std::make_unique<Linear>(…),
/// std::make_unique<Relu>())`.
template <class... Layers>
std::unique_ptr<Sequential> sequential(std::unique_ptr<Layers>... layers) {
  std::vector<std::unique_ptr<Layer>> all;
  (all.push_back(std::move(layers)), ...);
  return std::make_unique<Sequential>(std::move(all));
}

}  // namespace dcl::nn
