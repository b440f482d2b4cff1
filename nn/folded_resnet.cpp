#include "nn/folded_resnet.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <unordered_map>

#include "tensor/ops/max_pool2d.h"

namespace dcl::nn {

namespace {

using tensor::PackedConv2d;

// What a stage gives of the pictures that it sees at a time: a few such maps stay in the third-level cache.
constexpr std::int64_t kCacheBytes = 8 << 20;

// The net's tensors by name, torchvision's; what a block is made of follows from which of them there are.
class State {
 public:
  State(const ResNet& net, tensor::DType activations) : activations_(activations) {
    for (auto& [name, tensor] : net.state()) tensors_.emplace(name, tensor);
  }
  bool has(const std::string& name) const { return tensors_.contains(name); }
  const Tensor& at(const std::string& name) const { return tensors_.at(name); }

  // The convolution of this name with the batch norm of that name in it.
  PackedConv2d folded(const std::string& conv, const std::string& norm, std::int64_t stride) const {
    const Tensor& weight = at(conv + ".weight");
    const auto values = weight.to_vector<double>();
    const auto gamma = at(norm + ".weight").to_vector<double>();
    const auto beta = at(norm + ".bias").to_vector<double>();
    const auto mean = at(norm + ".running_mean").to_vector<double>();
    const auto var = at(norm + ".running_var").to_vector<double>();
    const std::size_t taps = values.size() / gamma.size();
    Tensor folded = empty_like(weight);
    Tensor bias = empty_like(at(norm + ".bias"));
    tensor::dispatch_float(weight.dtype(), "folded_resnet", [&]<class T>() {
      for (std::size_t o = 0; o < gamma.size(); ++o) {
        const double scale = gamma[o] / std::sqrt(var[o] + BatchNorm2dOptions{}.eps);
        for (std::size_t i = o * taps; i < (o + 1) * taps; ++i)
          folded.data<T>()[i] = static_cast<T>(values[i] * scale);
        bias.data<T>()[o] = static_cast<T>(beta[o] - mean[o] * scale);
      }
    });
    return {folded, bias, {.stride = stride, .padding = weight.size(1) / 2}, activations_};
  }

 private:
  std::unordered_map<std::string, Tensor> tensors_;
  tensor::DType activations_;
};

tensor::DType type_of(const ResNet& net) {
  for (auto& [name, tensor] : net.state())
    if (name == "conv1.weight") return tensor.dtype();
  fail("folded_resnet: the net has no conv1.weight");
}

}  // namespace

FoldedResNet::FoldedResNet(const ResNet& net) : FoldedResNet(net, type_of(net)) {}

FoldedResNet::FoldedResNet(const ResNet& net, tensor::DType activations) : dtype_(activations) {
  const State state(net, activations);
  stem_ = state.folded("conv1", "bn1", 2);
  for (std::size_t stage = 0; stage < stages_.size(); ++stage)
    for (std::size_t i = 0;; ++i) {
      const std::string block = "layer" + std::to_string(stage + 1) + "." + std::to_string(i);
      if (!state.has(block + ".conv1.weight")) break;
      const int convs = state.has(block + ".conv3.weight") ? 3 : 2;
      // A block's stride sits in its first 3×3 convolution, and in its shortcut.
      const std::int64_t stride = stage > 0 && i == 0 ? 2 : 1;
      const int strided = convs - 1;
      Block& folded = stages_[stage].blocks.emplace_back();
      for (int k = 1; k <= convs; ++k)
        folded.convs.push_back(state.folded(block + ".conv" + std::to_string(k),
                                            block + ".bn" + std::to_string(k), k == strided ? stride : 1));
      stages_[stage].channels = state.at(block + ".conv" + std::to_string(convs) + ".weight").size(0);
      if (state.has(block + ".downsample.0.weight"))
        folded.shortcut = state.folded(block + ".downsample.0", block + ".downsample.1", stride);
    }
}

// relu(convolutions + shortcut) into y, or into a tensor of its own where y is none.
void FoldedResNet::Block::forward(const Tensor& x, Tensor& y) const {
  Tensor inner = x;
  for (std::size_t i = 0; i + 1 < convs.size(); ++i) inner = convs[i].run(inner, {.relu = true});
  const PackedConv2d::End end{.residual = shortcut ? shortcut->run(x, {}) : x, .relu = true};
  if (y.defined())
    convs.back().run(inner, end, y);
  else
    y = convs.back().run(inner, end);
}

tensor::Shape FoldedResNet::shape_after(std::size_t stage, const tensor::Shape& pictures) const {
  // The stem halves twice, each stage but the first once, upwards.
  const std::int64_t halved = std::int64_t{1} << (stage + 1);
  const auto side = [halved](std::int64_t pixels) { return (pixels + halved - 1) / halved; };
  return {pictures[0], side(pictures[1]), side(pictures[2]), stages_[stage - 1].channels};
}

// Stages 1 … `stage` of some pictures, or the stem alone.
Tensor FoldedResNet::features(std::size_t stage, const Tensor& pictures) const {
  if (stage == 0) {
    const Tensor x = stem_->run(pictures, {.relu = true});
    return DCL_ON_DEVICE(x.device(), max_pool2d(x, {.kernel = 3, .stride = 2, .padding = 1})).y;
  }
  const auto& blocks = stages_[stage - 1].blocks;
  Tensor all = Tensor::empty(shape_after(stage, pictures.shape()), pictures.options());
  const std::int64_t batch = pictures.size(0);
  const std::int64_t chunks =
      std::clamp<std::int64_t>(all.nbytes() / kCacheBytes, 1, std::max<std::int64_t>(batch, 1));
  for (std::int64_t chunk = 0; chunk < chunks; ++chunk) {
    const std::int64_t begin = batch * chunk / chunks;
    const std::int64_t end = batch * (chunk + 1) / chunks;
    Tensor x = features(stage - 1, pictures.rows(begin, end));
    for (const Block& block : blocks) {
      Tensor y = &block == &blocks.back() ? all.rows(begin, end) : Tensor();
      block.forward(x, y);
      x = y;
    }
  }
  return all;
}

Tensor FoldedResNet::forward(const Tensor& pictures) const {
  check_dtype("folded_resnet", "pictures", pictures, dtype_);
  check(pictures.dim() == 4 && pictures.size(3) == 3, "folded_resnet: pictures is {}, expected [N,H,W,3]",
        pictures.str());
  check(pictures.size(1) > 0 && pictures.size(2) > 0, "folded_resnet: pictures is {}, which has no pixels",
        pictures.str());
  return features(stages_.size(), pictures);
}

}  // namespace dcl::nn
