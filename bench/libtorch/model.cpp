#include "bench/libtorch/model.h"

#include <array>
#include <map>
#include <stdexcept>

namespace dcl::bench {

namespace nn = torch::nn;

namespace {

constexpr std::int64_t kHidden = 2048;
constexpr std::int64_t kDim = 128;

struct Arch {
  bool bottleneck;
  std::array<int, 4> blocks;
};

const Arch& find_arch(const std::string& name) {
  static const std::map<std::string, Arch> archs{{"resnet18", {false, {2, 2, 2, 2}}},
                                                 {"resnet34", {false, {3, 4, 6, 3}}},
                                                 {"resnet50", {true, {3, 4, 6, 3}}},
                                                 {"resnet101", {true, {3, 4, 23, 3}}},
                                                 {"resnet152", {true, {3, 8, 36, 3}}}};
  const auto found = archs.find(name);
  if (found == archs.end()) throw std::invalid_argument("--arch: '" + name + "' is unknown");
  return found->second;
}

nn::Conv2d conv(std::int64_t in, std::int64_t out, std::int64_t kernel, std::int64_t stride) {
  return nn::Conv2d(nn::Conv2dOptions(in, out, kernel).stride(stride).padding(kernel / 2).bias(false));
}

// Convolutions with batch norm and, but for the last, ReLU, and a shortcut around them.
class BlockImpl : public nn::Module {
 public:
  struct Layer {
    std::int64_t out, kernel, stride;
  };

  BlockImpl(std::int64_t in, const std::vector<Layer>& layers, std::int64_t stride) {
    const std::int64_t first = in;
    for (std::size_t i = 0; i < layers.size(); ++i) {
      const auto& [out, kernel, layer_stride] = layers[i];
      convs_.emplace_back(
          register_module("conv" + std::to_string(i + 1), conv(in, out, kernel, layer_stride)));
      norms_.emplace_back(register_module("bn" + std::to_string(i + 1), nn::BatchNorm2d(out)));
      in = out;
    }
    if (stride != 1 || first != in)
      downsample_ =
          register_module("downsample", nn::Sequential(conv(first, in, 1, stride), nn::BatchNorm2d(in)));
  }

  torch::Tensor forward(const torch::Tensor& x) {
    torch::Tensor y = x;
    for (std::size_t i = 0; i < convs_.size(); ++i) {
      y = norms_[i]->forward(convs_[i]->forward(y));
      if (i + 1 < convs_.size()) y.relu_();
    }
    y += downsample_.is_empty() ? x : downsample_->forward(x);
    return y.relu_();
  }

 private:
  std::vector<nn::Conv2d> convs_;
  std::vector<nn::BatchNorm2d> norms_;
  nn::Sequential downsample_{nullptr};
};
TORCH_MODULE(Block);

nn::Sequential make_stage(const Arch& arch, std::int64_t& in, std::size_t stage) {
  const std::int64_t channels = std::int64_t{64} << stage;
  nn::Sequential blocks;
  for (int i = 0; i < arch.blocks[stage]; ++i) {
    const std::int64_t stride = stage > 0 && i == 0 ? 2 : 1;
    std::vector<BlockImpl::Layer> layers;
    if (arch.bottleneck)
      layers = {{channels, 1, 1}, {channels, 3, stride}, {4 * channels, 1, 1}};
    else
      layers = {{channels, 3, stride}, {channels, 3, 1}};
    blocks->push_back(Block(in, layers, stride));
    in = layers.back().out;
  }
  return blocks;
}

}  // namespace

EncoderImpl::EncoderImpl(const std::string& arch_name, bool dense) {
  const Arch& arch = find_arch(arch_name);
  const auto resnet = register_module("0", std::make_shared<nn::Module>());
  conv1_ = resnet->register_module("conv1",
                                   nn::Conv2d(nn::Conv2dOptions(3, 64, 7).stride(2).padding(3).bias(false)));
  bn1_ = resnet->register_module("bn1", nn::BatchNorm2d(64));
  std::int64_t channels = 64;
  for (std::size_t stage = 0; stage < 4; ++stage)
    stages_.emplace_back(
        resnet->register_module("layer" + std::to_string(stage + 1), make_stage(arch, channels, stage)));
  const auto neck = register_module("1", std::make_shared<nn::Module>());
  mlp_ = neck->register_module(
      "mlp", nn::Sequential(nn::Linear(channels, kHidden), nn::ReLU(true), nn::Linear(kHidden, kDim)));
  if (!dense) return;
  mlp2_ = neck->register_module(
      "mlp2", nn::Sequential(nn::Conv2d(nn::Conv2dOptions(channels, kHidden, 1)), nn::ReLU(true),
                             nn::Conv2d(nn::Conv2dOptions(kHidden, kDim, 1))));
}

torch::Tensor EncoderImpl::features(const torch::Tensor& pictures) {
  torch::Tensor x = bn1_->forward(conv1_->forward(pictures)).relu_();
  x = torch::max_pool2d(x, 3, 2, 1);
  for (auto& stage : stages_) x = stage->forward(x);
  return x;
}

EncoderOutput EncoderImpl::forward(const torch::Tensor& pictures) {
  EncoderOutput out;
  out.features = features(pictures);
  out.global = mlp_->forward(out.features.mean({2, 3}));
  if (!mlp2_.is_empty()) out.dense = mlp2_->forward(out.features);
  return out;
}

}  // namespace dcl::bench
