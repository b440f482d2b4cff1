#include "nn/resnet.h"

#include <algorithm>

#include "autograd/ops.h"
#include "nn/init.h"

namespace dcl::nn {

namespace {

struct Arch {
  std::string name;
  bool bottleneck;
  std::array<int, 4> blocks;  // in each stage
};

const std::vector<Arch>& archs() {
  static const std::vector<Arch> all{{"resnet18", false, {2, 2, 2, 2}},
                                     {"resnet34", false, {3, 4, 6, 3}},
                                     {"resnet50", true, {3, 4, 6, 3}},
                                     {"resnet101", true, {3, 4, 23, 3}},
                                     {"resnet152", true, {3, 8, 36, 3}}};
  return all;
}

const Arch& find_arch(const std::string& name) {
  for (const auto& arch : archs())
    if (arch.name == name) return arch;
  std::string known;
  for (const auto& arch : archs()) known += (known.empty() ? "" : ", ") + arch.name;
  fail("resnet: unknown arch '{}', expected one of {}", name, known);
}

constexpr std::int64_t kStemChannels = 64;
constexpr std::int64_t kExpansion = 4;  // of a bottleneck's last convolution

struct BlockOptions {
  std::int64_t in_channels;
  std::int64_t channels;  // of the inner convolutions
  std::int64_t out_channels;
  std::int64_t stride;
  ResNetOptions net;
};

Conv2dOptions conv(std::int64_t in, std::int64_t out, std::int64_t kernel, std::int64_t stride) {
  return {.in_channels = in,
          .out_channels = out,
          .kernel = kernel,
          .params = {.stride = stride, .padding = kernel / 2}};
}

BatchNorm2dOptions norm(std::int64_t channels, const ResNetOptions& net) {
  return {.channels = channels, .groups = net.bn_groups};
}

}  // namespace

/// relu(residual branch + shortcut); the shortcut is the input itself, or a 1×1 convolution of it with batch
/// norm
/// ("downsample.0", "downsample.1") where the shape changes.
class ResidualBlock : public Layer {
 public:
  explicit ResidualBlock(const BlockOptions& o) {
    if (o.stride == 1 && o.in_channels == o.out_channels) return;
    auto shortcut_conv =
        std::make_unique<Conv2d>(conv(o.in_channels, o.out_channels, 1, o.stride), o.net.tensors);
    auto shortcut_norm = std::make_unique<BatchNorm2d>(norm(o.out_channels, o.net), o.net.tensors);
    shortcut_conv_ = shortcut_conv.get();
    shortcut_norm_ = shortcut_norm.get();
    downsample_ = sequential(std::move(shortcut_conv), std::move(shortcut_norm));
  }

 protected:
  // Registered last: names come in torchvision's order.
  void add_shortcut() {
    if (downsample_) add_module("downsample", *downsample_);
  }
  Variable shortcut(const Variable& x) {
    return downsample_ ? shortcut_norm_->forward(shortcut_conv_->forward_for(*shortcut_norm_, x)) : x;
  }

 private:
  std::unique_ptr<Sequential> downsample_;  // the two below
  Conv2d* shortcut_conv_ = nullptr;
  BatchNorm2d* shortcut_norm_ = nullptr;
};

namespace {

/// 3×3, 3×3.
class BasicBlock final : public ResidualBlock {
 public:
  explicit BasicBlock(const BlockOptions& o)
      : ResidualBlock(o),
        conv1_(conv(o.in_channels, o.channels, 3, o.stride), o.net.tensors),
        bn1_(norm(o.channels, o.net), o.net.tensors),
        conv2_(conv(o.channels, o.out_channels, 3, 1), o.net.tensors),
        bn2_(norm(o.out_channels, o.net), o.net.tensors) {
    add_module("conv1", conv1_);
    add_module("bn1", bn1_);
    add_module("conv2", conv2_);
    add_module("bn2", bn2_);
    add_shortcut();
  }
  Variable forward(const Variable& x) override {
    const Variable y = bn1_.forward_relu(conv1_.forward_for(bn1_, x));
    return bn2_.forward_add_relu(conv2_.forward_for(bn2_, y), shortcut(x));
  }

 private:
  Conv2d conv1_;
  BatchNorm2d bn1_;
  Conv2d conv2_;
  BatchNorm2d bn2_;
};

/// 1×1 down, 3×3 (with the stride), 1×1 up.
class Bottleneck final : public ResidualBlock {
 public:
  explicit Bottleneck(const BlockOptions& o)
      : ResidualBlock(o),
        conv1_(conv(o.in_channels, o.channels, 1, 1), o.net.tensors),
        bn1_(norm(o.channels, o.net), o.net.tensors),
        conv2_(conv(o.channels, o.channels, 3, o.stride), o.net.tensors),
        bn2_(norm(o.channels, o.net), o.net.tensors),
        conv3_(conv(o.channels, o.out_channels, 1, 1), o.net.tensors),
        bn3_(norm(o.out_channels, o.net), o.net.tensors) {
    add_module("conv1", conv1_);
    add_module("bn1", bn1_);
    add_module("conv2", conv2_);
    add_module("bn2", bn2_);
    add_module("conv3", conv3_);
    add_module("bn3", bn3_);
    add_shortcut();
  }
  Variable forward(const Variable& x) override {
    Variable y = bn1_.forward_relu(conv1_.forward_for(bn1_, x));
    y = bn2_.forward_relu(conv2_.forward_for(bn2_, y));
    return bn3_.forward_add_relu(conv3_.forward_for(bn3_, y), shortcut(x));
  }

 private:
  Conv2d conv1_;
  BatchNorm2d bn1_;
  Conv2d conv2_;
  BatchNorm2d bn2_;
  Conv2d conv3_;
  BatchNorm2d bn3_;
};

std::unique_ptr<Layer> make_block(bool bottleneck, const BlockOptions& o) {
  if (bottleneck) return std::make_unique<Bottleneck>(o);
  return std::make_unique<BasicBlock>(o);
}

}  // namespace

const std::vector<std::string>& resnet_names() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> all;
    for (const auto& arch : archs()) all.push_back(arch.name);
    return all;
  }();
  return names;
}

ResNet::ResNet(const std::string& arch_name, const ResNetOptions& options)
    : conv1_({.in_channels = 3,
              .out_channels = kStemChannels,
              .kernel = 7,
              .params = {.stride = 2, .padding = 3}},
             options.tensors),
      bn1_(norm(kStemChannels, options), options.tensors) {
  const Arch& arch = find_arch(arch_name);
  add_module("conv1", conv1_);
  add_module("bn1", bn1_);
  std::int64_t in_channels = kStemChannels;
  for (std::size_t stage = 0; stage < stages_.size(); ++stage) {
    const std::int64_t channels = kStemChannels << stage;
    const std::int64_t out_channels = arch.bottleneck ? channels * kExpansion : channels;
    std::vector<std::unique_ptr<Layer>> blocks;
    for (int i = 0; i < arch.blocks[stage]; ++i) {
      const std::int64_t stride = stage > 0 && i == 0 ? 2 : 1;
      blocks.push_back(make_block(arch.bottleneck, {in_channels, channels, out_channels, stride, options}));
      in_channels = out_channels;
    }
    stages_[stage] = std::make_unique<Sequential>(std::move(blocks));
    add_module("layer" + std::to_string(stage + 1), *stages_[stage]);
  }
  feature_channels_ = in_channels;
}

ResNet::~ResNet() = default;

Variable ResNet::forward(const Variable& pictures) {
  Variable x = bn1_.forward_relu(conv1_.forward_for(bn1_, pictures));
  x = autograd::max_pool2d(x, {.kernel = 3, .stride = 2, .padding = 1});
  for (const auto& stage : stages_) x = stage->forward(x);
  return x;
}

void initialise_resnet(ResNet& net, std::uint64_t seed, const std::string& prefix) {
  for (auto& [name, parameter] : net.parameters(prefix)) {
    Tensor& value = parameter.mutable_value();
    if (value.dim() == 4)
      kaiming_normal(value, weight_key(seed, name));
    else
      value.fill(name.ends_with(".weight") ? 1.0 : 0.0);
    parameter.bump_version();
  }
}

}  // namespace dcl::nn
