#include "bench/ops/layers.h"

#include <algorithm>

#include "nn/resnet.h"

namespace dcl::bench {

namespace {

bool has(const std::string& name, const char* part) { return name.find(part) != std::string::npos; }

// Follows the parameters of one network from the stem on.
class Walk {
 public:
  Walk(std::int64_t size, bool bottleneck) : side_(size), last_conv_(bottleneck ? "conv3" : "conv2") {}

  ConvLayer next(const std::string& name, const Shape& weight) {
    ConvLayer layer{.in = weight[3], .out = weight[0], .kernel = weight[1]};
    if (!has(name, "layer")) {  // the stem
      layer.side = side_;
      layer.stride = 2;
      layer.after = After::relu;
      side_ = (layer.out_side() + 1) / 2;  // max pooling
      return layer;
    }
    const bool shortcut = has(name, "downsample");
    if (has(name, "conv1")) block_side_ = side_;
    const bool halves = !has(name, "layer1.") && has(name, ".0.");  // the first block of stages 2 to 4
    layer.side = shortcut ? block_side_ : side_;
    // The stride sits in the block's first 3×3 convolution, and in the shortcut's.
    layer.stride = halves && (shortcut || (layer.kernel == 3 && side_ == block_side_)) ? 2 : 1;
    if (!shortcut) {
      layer.after = has(name, last_conv_) ? After::residual_relu : After::relu;
      side_ = layer.out_side();
    }
    return layer;
  }
  std::int64_t side() const { return side_; }

 private:
  std::int64_t side_;
  std::int64_t block_side_ = 0;
  const char* last_conv_;
};

template <class Visit>
std::int64_t walk(const Network& network, Visit&& visit) {
  const nn::ResNet net(network.arch);
  const auto parameters = net.parameters();
  const bool bottleneck =
      std::any_of(parameters.begin(), parameters.end(), [](const auto& p) { return has(p.name, "conv3"); });
  Walk walk(network.size, bottleneck);
  for (const auto& [name, parameter] : parameters)
    if (parameter.value().dim() == 4) visit(walk.next(name, parameter.shape()));
  return walk.side();
}

}  // namespace

std::vector<ConvLayer> backbone_convolutions(const Network& network) {
  std::vector<ConvLayer> layers;
  walk(network, [&](const ConvLayer& layer) { layers.push_back(layer); });
  return layers;
}

std::int64_t map_side(const Network& network) {
  return walk(network, [](const ConvLayer&) {});
}

}  // namespace dcl::bench
