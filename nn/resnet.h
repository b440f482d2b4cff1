// ResNet 18, 34, 50, 101, 152 without the classifier, with torchvision's names: version 1.5, where the stride
// of a bottleneck sits in its 3×3 convolution. He, Zhang, Ren, Sun: "Deep Residual Learning", CVPR 2016,
// table 1.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "nn/layers.h"

namespace dcl::nn {

/// "resnet18", "resnet34", …: what ResNet accepts.
const std::vector<std::string>& resnet_names();

struct ResNetOptions {
  std::int64_t bn_groups = 1;  // see BatchNorm2dOptions::groups
  tensor::TensorOptions tensors = {};
};

class ResidualBlock;  // basic or bottleneck

/// Pictures [N,H,W,3] -> features [N,⌈H/32⌉,⌈W/32⌉,C], C = feature_channels(): 512 or 2048.
class ResNet final : public Layer {
 public:
  /// Throws, naming the known ones, for another `arch`. Weights are zeros until initialised.
  explicit ResNet(const std::string& arch, const ResNetOptions& options = {});
  ~ResNet() override;
  Variable forward(const Variable& pictures) override;
  std::int64_t feature_channels() const { return feature_channels_; }

 private:
  Conv2d conv1_;
  BatchNorm2d bn1_;
  std::array<std::unique_ptr<Sequential>, 4> stages_;  // "layer1" … "layer4"
  std::int64_t feature_channels_ = 0;
};

/// Convolutions of a ResNet: normal with std sqrt(2 / fan_in), keyed by "prefix.name"; batch norm weight 1,
/// bias 0.
void initialise_resnet(ResNet& net, std::uint64_t seed, const std::string& prefix);

}  // namespace dcl::nn
