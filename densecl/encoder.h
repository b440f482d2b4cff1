// The encoder: a ResNet backbone and the neck with its global and dense projection heads.
// DenseCL, section 3.2 and figure 2.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "nn/layers.h"
#include "nn/resnet.h"

namespace dcl::densecl {

using autograd::Variable;
using tensor::Tensor;

/// The part of a profile (tensor/profile.h) that DenseCL adds to MoCo-v2: dense head, match and dense loss.
inline constexpr std::string_view kDenseHalf = "dense half";

struct EncoderOptions {
  std::string arch = "resnet50";
  std::int64_t hidden = 2048;
  std::int64_t dim = 128;
  bool dense = true;                          // false for MoCo-v2: global head only
  std::optional<std::int64_t> num_grid = {};  // pool the dense half to num_grid × num_grid
  std::int64_t bn_groups = 1;
  tensor::TensorOptions tensors = {};  // of parameters and statistics
  bool bfloat16 = false;               // activations and products; what comes out is of the parameters' type
};

/// S² cells: of the backbone's own map, or num_grid². The dense members are undefined without a dense head.
struct EncoderOutput {
  Variable global;         // [N, dim], projection of the mean feature
  Variable dense;          // [N·S², dim], projection of each cell, rows of a picture together
  Variable features;       // [N·S², C], the backbone features that the dense projections were made from
  std::int64_t cells = 0;  // S²
};

/// Heads: "mlp" (linear, ReLU, linear) on the mean feature; "mlp2" (1×1 convolution, ReLU, 1×1 convolution)
/// on the map.
class Neck final : public nn::Module {
 public:
  Neck(std::int64_t channels, const EncoderOptions& options);
  /// map [N,H,W,C]
  EncoderOutput forward(const Variable& map);

 private:
  std::optional<std::int64_t> num_grid_;
  nn::Sequential mlp_;
  std::unique_ptr<nn::Sequential> mlp2_;
};

/// Backbone "0" and neck "1".
class Encoder final : public nn::Module {
 public:
  explicit Encoder(const EncoderOptions& options);
  /// pictures [N,H,W,3]
  EncoderOutput forward(const Variable& pictures);

  nn::ResNet& backbone() { return backbone_; }
  Neck& neck() { return neck_; }

 private:
  tensor::DType activations_, outputs_;
  nn::ResNet backbone_;
  Neck neck_;
};

/// The authors' initialisation; `prefix` goes before the parameters' names in the random keys.
void initialise_encoder(Encoder& encoder, std::uint64_t seed, const std::string& prefix);

}  // namespace dcl::densecl
