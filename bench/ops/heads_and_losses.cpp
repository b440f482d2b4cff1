#include "bench/ops/layers.h"
#include "tensor/ops/info_nce.h"
#include "tensor/ops/linear.h"
#include "tensor/ops/nearest_rows.h"
#include "tensor/ops/normalize.h"

namespace dcl::bench {

namespace {

namespace cpu = tensor::cpu;

constexpr std::int64_t kHidden = 2048;
constexpr std::int64_t kDim = 128;
constexpr double kTemperature = 0.2;
constexpr double kEps = 1e-12;

void add_linear(const Shape& x_shape, std::int64_t out, DType dtype, Ops& ops) {
  const std::int64_t rows = x_shape[0];
  const std::int64_t in = x_shape[1];
  for (const std::string pass : {"forward", "backward"}) {
    const auto prepare = [=]() -> std::function<void()> {
      const Tensor x = random_tensor({rows, in}, dtype);
      const Tensor weight = random_tensor({out, in});
      const Tensor bias = random_tensor({out});
      if (pass == "forward") return [=] { cpu::linear(x, weight, bias); };
      return [=, dy = random_tensor({rows, out}, dtype)] {
        cpu::linear_backward_x(dy, weight);
        cpu::linear_backward_weight(dy, x);
        cpu::linear_backward_bias(dy);
      };
    };
    const double times = pass == "forward" ? 1 : 2;
    const double products = times * 2 * static_cast<double>(rows * in * out);
    ops.push_back(
        {.name = fmt::format("linear {} rows {}→{} {}", rows, in, out, pass),
         .what = {{"kind", "linear"}, {"pass", pass}, {"x", {rows, in}}, {"weight", {out, in}}},
         .flop = products,
         .bytes = times * (bytes_of(rows * in, dtype) + bytes_of(out * in)) + bytes_of(rows * out, dtype),
         .prepare = prepare});
  }
}

void add_normalize(std::int64_t rows, Ops& ops) {
  for (const std::string pass : {"forward", "backward"}) {
    const auto prepare = [=]() -> std::function<void()> {
      const Tensor x = random_tensor({rows, kDim});
      if (pass == "forward") return [=] { cpu::normalize(x, kEps); };
      return [=, dy = random_tensor({rows, kDim})] { cpu::normalize_backward(dy, x, kEps); };
    };
    ops.push_back({.name = fmt::format("normalize {} rows {}", rows, pass),
                   .what = {{"kind", "normalize"}, {"pass", pass}, {"x", {rows, kDim}}},
                   .bytes = bytes_of((pass == "forward" ? 2 : 3) * rows * kDim),
                   .float32 = true,
                   .prepare = prepare});
  }
}

void add_info_nce(std::int64_t rows, std::int64_t keys, DType dtype, Ops& ops) {
  const tensor::InfoNceParams params{kTemperature, dtype == DType::bfloat16};
  const auto prepare = [=]() -> std::function<void()> {
    const Tensor query = cpu::normalize(random_tensor({rows, kDim}));
    const Tensor positive = cpu::normalize(random_tensor({rows, kDim}));
    const Tensor queue = cpu::normalize(random_tensor({keys, kDim}));
    return [=] { cpu::info_nce(query, positive, queue, params, true); };
  };
  ops.push_back({.name = fmt::format("contrastive loss and gradient {} rows {} keys", rows, keys),
                 .what = {{"kind", "info_nce"},
                          {"pass", "forward and backward"},
                          {"query", {rows, kDim}},
                          {"queue", {keys, kDim}},
                          {"temperature", kTemperature}},
                 .flop = 4.0 * static_cast<double>(rows * keys * kDim),
                 .bytes = bytes_of((keys + 3 * rows) * kDim),
                 .prepare = prepare});
}

void add_nearest_rows(std::int64_t entries, std::int64_t cells, std::int64_t channels, Ops& ops) {
  const auto prepare = [=]() -> std::function<void()> {
    const Tensor a = random_tensor({entries * cells, channels});
    const Tensor b = random_tensor({entries * cells, channels});
    return [=] { cpu::nearest_rows(a, b, entries); };
  };
  ops.push_back({.name = fmt::format("match of cells {}x{} cells {}", entries, cells, channels),
                 .what = {{"kind", "nearest_rows"},
                          {"pass", "forward"},
                          {"a", {entries * cells, channels}},
                          {"entries", entries}},
                 .flop = 2.0 * static_cast<double>(entries * cells * cells * channels),
                 .bytes = bytes_of(2 * entries * cells * channels),
                 .float32 = true,
                 .prepare = prepare});
}

}  // namespace

void add_heads_and_losses(const Network& network, Ops& ops) {
  const std::int64_t cells = map_side(network) * map_side(network);
  const std::int64_t channels = backbone_convolutions(network).back().out;
  add_linear({network.batch, channels}, kHidden, network.activations, ops);
  add_linear({network.batch, kHidden}, kDim, network.activations, ops);
  for (const std::int64_t rows : {network.batch, network.batch * cells}) {
    add_normalize(rows, ops);
    add_info_nce(rows, network.queue, network.activations, ops);
  }
  add_nearest_rows(network.batch, cells, channels, ops);
}

}  // namespace dcl::bench
