// The rows of bench_ops: operations of a training step, each at the sizes it has there.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "tensor/tensor.h"

namespace dcl::bench {

using tensor::DType;
using tensor::Shape;
using tensor::Tensor;

struct Network {
  std::string arch = "resnet50";
  std::int64_t size = 224;  // side of a picture
  std::int64_t batch = 16;
  std::int64_t queue = 65536;  // keys of the losses
  /// Of maps and their gradients, up to the projections; or bfloat16, beside float32 weights and statistics.
  DType activations = DType::float32;
};

struct Op {
  std::string name;  // unique: what it is, its sizes, which pass
  /// All that another program needs to do the same: "kind", "pass" and shapes as in tensor/ops/KIND.h.
  nlohmann::ordered_json what;
  double flop = 0;   // of the direct formula; 0: not worth counting
  double bytes = 0;  // of all operands and results, each once
  /// True for what is float32 beside activations of any type: what comes after the projections, and updates.
  bool float32 = false;
  /// Makes the inputs; what it returns runs the operation once.
  std::function<std::function<void()>()> prepare;
};

using Ops = std::vector<Op>;

/// Each distinct convolution of the backbone and of the dense head: forward and both gradients.
void add_convolutions(const Network& network, Ops& ops);
/// Batch norm (with ReLU, with residual sum and ReLU, with neither), max pooling of the stem, mean of the
/// map.
void add_norms_and_pools(const Network& network, Ops& ops);
/// Both contrastive losses with their gradients, the match of cells, normalisation, the linear layers of the
/// head.
void add_heads_and_losses(const Network& network, Ops& ops);
/// SGD and the momentum encoder's update, over all parameters.
void add_updates(const Network& network, Ops& ops);

/// Uniform in [-1, 1).
Tensor random_tensor(const Shape& shape, DType dtype = DType::float32);

inline double bytes_of(std::int64_t numbers, DType dtype = DType::float32) {
  return static_cast<double>(numbers * tensor::size_of(dtype));
}

}  // namespace dcl::bench
