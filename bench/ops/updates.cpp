#include "bench/ops/op.h"
#include "densecl/encoder.h"
#include "tensor/ops/ema_update.h"
#include "tensor/ops/sgd_update.h"

namespace dcl::bench {

namespace {

namespace cpu = tensor::cpu;

std::function<void()> prepare_sgd(const std::vector<Shape>& shapes) {
  std::vector<tensor::SgdEntry> entries;
  for (const auto& shape : shapes)
    entries.push_back({random_tensor(shape), random_tensor(shape), random_tensor(shape)});
  return [entries = std::move(entries), lr = Tensor::scalar(1e-3)] {
    cpu::sgd_update(entries, lr, {.momentum = 0.9, .weight_decay = 1e-4});
  };
}

std::function<void()> prepare_ema(const std::vector<Shape>& shapes) {
  std::vector<tensor::EmaPair> pairs;
  for (const auto& shape : shapes) pairs.push_back({random_tensor(shape), random_tensor(shape)});
  return [pairs = std::move(pairs)] { cpu::ema_update(pairs, 0.999); };
}

}  // namespace

void add_updates(const Network& network, Ops& ops) {
  const densecl::Encoder encoder({.arch = network.arch});
  std::vector<Shape> shapes;
  std::int64_t floats = 0;
  nlohmann::ordered_json sizes;
  for (const auto& [name, parameter] : encoder.parameters()) {
    shapes.push_back(parameter.shape());
    floats += shapes.back().numel();
    sizes.push_back(shapes.back().numel());
  }
  const auto millions = static_cast<double>(floats) * 1e-6;
  ops.push_back({.name = fmt::format("sgd update {:.1f} M parameters", millions),
                 .what = {{"kind", "sgd_update"}, {"pass", "update"}, {"sizes", sizes}},
                 .bytes = bytes_of(5 * floats),  // parameter and momentum read and written, gradient read
                 .float32 = true,
                 .prepare = [shapes] { return prepare_sgd(shapes); }});
  ops.push_back({.name = fmt::format("momentum encoder's update {:.1f} M parameters", millions),
                 .what = {{"kind", "ema_update"}, {"pass", "update"}, {"sizes", sizes}},
                 .bytes = bytes_of(3 * floats),
                 .float32 = true,
                 .prepare = [shapes] { return prepare_ema(shapes); }});
}

}  // namespace dcl::bench
