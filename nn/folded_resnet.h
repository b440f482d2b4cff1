// A ResNet for features alone, in evaluation mode: each batch norm is folded into the convolution before it,
//
//   bn(conv(x, w)) = conv(x, w·s) + (bias − mean·s)               s = weight / sqrt(var + eps), a number a
//   channel
//
// with the running statistics, and each convolution ends with the residual sum and the ReLU behind it
// (tensor/ops/conv2d_prepacked.h). Nothing is recorded, nothing is kept for a backward pass.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "nn/resnet.h"
#include "tensor/ops/conv2d_prepacked.h"

namespace dcl::nn {

class FoldedResNet {
 public:
  /// From the weights and running statistics that `net` has now; later changes of `net` do not reach it.
  /// Computed in double, rounded once to the net's type. Throws Error unless that is float32 or float64 in
  /// the processor's memory.
  explicit FoldedResNet(const ResNet& net);
  /// With `activations` bfloat16 pictures, maps and features are in it, and the folded weights rounded to it,
  /// of a float32 net; sums, biases and the residual's addition stay in float32. Otherwise the net's own
  /// type.
  FoldedResNet(const ResNet& net, tensor::DType activations);

  /// What net.forward() gives in evaluation mode: pictures [N,H,W,3] of its activations' type ->
  /// [N,⌈H/32⌉,⌈W/32⌉,C]. May be called from several threads. The bits do not depend on the number of
  /// threads.
  Tensor forward(const Tensor& pictures) const;

 private:
  struct Block {
    std::vector<tensor::PackedConv2d> convs;  // the last one ends with the residual sum
    std::optional<tensor::PackedConv2d> shortcut;
    void forward(const Tensor& x, Tensor& y) const;
  };
  struct Stage {
    std::vector<Block> blocks;
    std::int64_t channels = 0;  // of what it gives
  };

  Tensor features(std::size_t stage, const Tensor& pictures) const;
  tensor::Shape shape_after(std::size_t stage, const tensor::Shape& pictures) const;

  tensor::DType dtype_ = tensor::DType::float32;
  std::optional<tensor::PackedConv2d> stem_;
  std::array<Stage, 4> stages_;
};

}  // namespace dcl::nn
