#include <set>
#include <tuple>

#include "bench/ops/layers.h"
#include "tensor/ops/conv2d.h"

namespace dcl::bench {

namespace {

using tensor::Conv2dParams;
namespace cpu = tensor::cpu;

struct Conv {
  Shape x, weight, y;
  Conv2dParams params;
  DType activations;
};

std::function<void()> prepare(const Conv& c, const std::string& pass) {
  const Tensor weight = random_tensor(c.weight);
  const Tensor x = random_tensor(c.x, c.activations);
  const Tensor dy = random_tensor(c.y, c.activations);
  if (pass == "forward") return [=] { cpu::conv2d(x, weight, {}, c.params); };
  if (pass == "input_gradient") return [=] { cpu::conv2d_backward_input(dy, weight, c.x, c.params); };
  return [=] { cpu::conv2d_backward_weight(dy, x, c.weight, c.params); };
}

void add(const Network& network, const ConvLayer& layer, Ops& ops) {
  const Conv c{.x = {network.batch, layer.side, layer.side, layer.in},
               .weight = {layer.out, layer.kernel, layer.kernel, layer.in},
               .y = {network.batch, layer.out_side(), layer.out_side(), layer.out},
               .params = {.stride = layer.stride, .padding = layer.kernel / 2},
               .activations = network.activations};
  for (const std::string pass : {"forward", "input_gradient", "weight_gradient"}) {
    Op op{.name = fmt::format("conv {0}x{0}/{1} {2}² {3}→{4} {5}", layer.kernel, layer.stride, layer.side,
                              layer.in, layer.out, pass),
          .what = {{"kind", "conv2d"},
                   {"pass", pass},
                   {"x", c.x.sizes()},
                   {"weight", c.weight.sizes()},
                   {"y", c.y.sizes()},
                   {"stride", c.params.stride},
                   {"padding", c.params.padding}},
          .flop = 2.0 * static_cast<double>(c.y.numel() / layer.out * c.weight.numel()),
          .bytes = bytes_of(c.x.numel() + c.y.numel(), c.activations) + bytes_of(c.weight.numel()),
          .prepare = [c, pass] { return prepare(c, pass); }};
    ops.push_back(std::move(op));
  }
}

}  // namespace

void add_convolutions(const Network& network, Ops& ops) {
  std::vector<ConvLayer> layers = backbone_convolutions(network);
  const std::int64_t channels = layers.back().out;
  for (const std::int64_t out : {std::int64_t{2048}, std::int64_t{128}})  // the dense head
    layers.push_back({.side = map_side(network), .in = out == 128 ? 2048 : channels, .out = out});
  std::set<std::tuple<std::int64_t, std::int64_t, std::int64_t, std::int64_t, std::int64_t>> seen;
  for (const auto& layer : layers)
    if (seen.insert({layer.side, layer.in, layer.out, layer.kernel, layer.stride}).second)
      add(network, layer, ops);
}

}  // namespace dcl::bench
