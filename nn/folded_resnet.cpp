#include "nn/folded_resnet.h"

#include <cmath>
#include <string>
#include <unordered_map>

#include "tensor/ops/max_pool2d.h"

namespace dcl::nn {

namespace {

using tensor::PackedConv2d;

// The net's tensors by name, torchvision's; what a block is made of follows from which of them there are.
class State {
 public:
  explicit State(const ResNet& net) {
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
    return {folded, bias, {.stride = stride, .padding = weight.size(1) / 2}};
  }

 private:
  std::unordered_map<std::string, Tensor> tensors_;
};

}  // namespace

FoldedResNet::FoldedResNet(const ResNet& net) {
  const State state(net);
  dtype_ = state.at("conv1.weight").dtype();
  stem_ = state.folded("conv1", "bn1", 2);
  for (std::size_t stage = 0; stage < stages_.size(); ++stage)
    for (std::size_t i = 0;; ++i) {
      const std::string block = "layer" + std::to_string(stage + 1) + "." + std::to_string(i);
      if (!state.has(block + ".conv1.weight")) break;
      const int convs = state.has(block + ".conv3.weight") ? 3 : 2;
      // A block's stride sits in its first 3×3 convolution, and in its shortcut.
      const std::int64_t stride = stage > 0 && i == 0 ? 2 : 1;
      const int strided = convs - 1;
      Block& folded = stages_[stage].emplace_back();
      for (int k = 1; k <= convs; ++k)
        folded.convs.push_back(state.folded(block + ".conv" + std::to_string(k),
                                            block + ".bn" + std::to_string(k), k == strided ? stride : 1));
      if (state.has(block + ".downsample.0.weight"))
        folded.shortcut = state.folded(block + ".downsample.0", block + ".downsample.1", stride);
    }
}

Tensor FoldedResNet::Block::forward(const Tensor& x) const {
  Tensor y = x;
  for (std::size_t i = 0; i + 1 < convs.size(); ++i) y = convs[i].run(y, {.relu = true});
  return convs.back().run(y, {.residual = shortcut ? shortcut->run(x, {}) : x, .relu = true});
}

Tensor FoldedResNet::forward(const Tensor& pictures) const {
  check_dtype("folded_resnet", "pictures", pictures, dtype_);
  check(pictures.dim() == 4 && pictures.size(3) == 3, "folded_resnet: pictures is {}, expected [N,H,W,3]",
        pictures.str());
  Tensor x = stem_->run(pictures, {.relu = true});
  x = DCL_ON_DEVICE(x.device(), max_pool2d(x, {.kernel = 3, .stride = 2, .padding = 1})).y;
  for (const auto& stage : stages_)
    for (const Block& block : stage) x = block.forward(x);
  return x;
}

}  // namespace dcl::nn
