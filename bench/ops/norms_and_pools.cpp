#include <set>
#include <tuple>

#include "bench/ops/layers.h"
#include "tensor/ops/adaptive_avg_pool2d.h"
#include "tensor/ops/batch_norm_act.h"
#include "tensor/ops/max_pool2d.h"

namespace dcl::bench {

namespace {

namespace cpu = tensor::cpu;

const char* name_of(After after) {
  if (after == After::nothing) return "";
  return after == After::relu ? "+ relu" : "+ residual + relu";
}

// A map of the network.
struct Map {
  Shape shape;
  DType dtype;

  Tensor random() const { return random_tensor(shape, dtype); }
};

std::function<void()> prepare_norm(const Map& map, After after, bool forward) {
  const std::int64_t channels = map.shape[3];
  const Tensor x = map.random();
  const Tensor weight = Tensor::full({channels}, 1);
  const Tensor bias = Tensor::zeros({channels});
  const Tensor residual = after == After::residual_relu ? map.random() : Tensor();
  const tensor::BatchNormParams params{.relu = after != After::nothing};
  tensor::RunningStats stats{Tensor::zeros({channels}), Tensor::full({channels}, 1)};
  if (forward) return [=]() mutable { cpu::batch_norm_act(x, weight, bias, stats, params, residual); };
  const auto out = cpu::batch_norm_act(x, weight, bias, stats, params, residual);
  tensor::BatchNormSaved saved{x, weight, bias, out.mean, out.invstd, {}};
  if (residual.defined()) saved.residual_y = out.y;
  return [=, dy = map.random()] {
    cpu::batch_norm_act_backward(dy, saved, params, {.residual = residual.defined()});
  };
}

void add_norm(const Map& map, After after, Ops& ops) {
  const Shape& shape = map.shape;
  const bool residual = after == After::residual_relu;
  for (const std::string pass : {"forward", "backward"}) {
    const bool forward = pass == "forward";
    // Forward: x, y, residual; backward: x, dy, dx, and with a residual y and its gradient.
    const std::int64_t maps = forward ? 2 + static_cast<int>(residual) : 3 + 2 * static_cast<int>(residual);
    Op op{.name = fmt::format("batch norm {} {}² {} {}", name_of(after), shape[1], shape[3], pass),
          .what = {{"kind", "batch_norm_act"},
                   {"pass", pass},
                   {"x", shape.sizes()},
                   {"relu", after != After::nothing},
                   {"residual", residual}},
          .bytes = bytes_of(maps * shape.numel(), map.dtype),
          .prepare = [map, after, forward] { return prepare_norm(map, after, forward); }};
    ops.push_back(std::move(op));
  }
}

void add_max_pool(const Map& map, Ops& ops) {
  const Shape& shape = map.shape;
  const tensor::MaxPool2dParams params{.kernel = 3, .stride = 2, .padding = 1};
  const std::int64_t out_side = (shape[1] + 1) / 2;
  const Shape out_shape{shape[0], out_side, out_side, shape[3]};
  for (const std::string pass : {"forward", "backward"}) {
    const auto prepare = [=]() -> std::function<void()> {
      const Tensor x = map.random();
      if (pass == "forward") return [=] { cpu::max_pool2d(x, params); };
      const Tensor tap = cpu::max_pool2d(x, params).tap;
      return [=, dy = random_tensor(out_shape, map.dtype)] {
        cpu::max_pool2d_backward(dy, tap, map.shape, params);
      };
    };
    ops.push_back({.name = fmt::format("max pool 3x3/2 {}² {} {}", shape[1], shape[3], pass),
                   .what = {{"kind", "max_pool2d"}, {"pass", pass}, {"x", shape.sizes()}},
                   .bytes = bytes_of(shape.numel() + out_shape.numel(), map.dtype),
                   .prepare = prepare});
  }
}

void add_mean(const Map& map, Ops& ops) {
  const Shape& shape = map.shape;
  for (const std::string pass : {"forward", "backward"}) {
    const auto prepare = [=]() -> std::function<void()> {
      if (pass == "forward") return [x = map.random()] { cpu::adaptive_avg_pool2d(x, 1, 1); };
      const Tensor dy = random_tensor({map.shape[0], 1, 1, map.shape[3]}, map.dtype);
      return [=] { cpu::adaptive_avg_pool2d_backward(dy, map.shape); };
    };
    ops.push_back({.name = fmt::format("mean {}² {} {}", shape[1], shape[3], pass),
                   .what = {{"kind", "adaptive_avg_pool2d"}, {"pass", pass}, {"x", shape.sizes()}},
                   .bytes = bytes_of(shape.numel() + shape[0] * shape[3], map.dtype),
                   .prepare = prepare});
  }
}

}  // namespace

void add_norms_and_pools(const Network& network, Ops& ops) {
  const DType dtype = network.activations;
  const auto layers = backbone_convolutions(network);
  std::set<std::tuple<std::int64_t, std::int64_t, After>> seen;
  for (const auto& layer : layers)
    if (seen.insert({layer.out_side(), layer.out, layer.after}).second)
      add_norm({{network.batch, layer.out_side(), layer.out_side(), layer.out}, dtype}, layer.after, ops);
  const ConvLayer& stem = layers.front();
  add_max_pool({{network.batch, stem.out_side(), stem.out_side(), stem.out}, dtype}, ops);
  const std::int64_t side = map_side(network);
  add_mean({{network.batch, side, side, layers.back().out}, dtype}, ops);
}

}  // namespace dcl::bench
