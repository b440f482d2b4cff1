// DenseCL and MoCo-v2: query encoder, momentum (key) encoder, queues, and the loss of one step.
//
// Wang, Zhang, Shen, Kong, Li: "Dense Contrastive Learning for Self-Supervised Visual Pre-Training", CVPR
// 2021. He, Fan, Wu, Xie, Girshick: "Momentum Contrast for Unsupervised Visual Representation Learning", CVPR
// 2020.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "autograd/variable.h"
#include "densecl/encoder.h"
#include "densecl/losses.h"
#include "tensor/tensor.h"

namespace dcl::densecl {

using autograd::Variable;
using tensor::Tensor;

enum class Method : std::uint8_t { densecl, mocov2 };

struct ModelOptions {
  Method method = Method::densecl;
  std::string arch = "resnet50";
  std::int64_t dim = 128;                     // C, of a projected vector
  std::int64_t hidden = 2048;                 // of both projection heads
  std::int64_t queue = 65536;                 // K, keys a queue
  double temperature = 0.2;                   // T
  double momentum = 0.999;                    // m, of the key encoder
  std::optional<std::int64_t> num_grid = {};  // pool the dense half to num_grid × num_grid
  std::int64_t bn_groups = 1;                 // chunks of the batch that batch norm sees one at a time
  tensor::TensorOptions options = {};
  bool bfloat16 =
      false;  // activations and products in bfloat16; parameters, statistics and losses in float32
};

/// What one forward pass gives. `keys` and `dense_keys` wait to be enqueued after the optimizer's step.
struct StepOutput {
  Variable loss;       // [1], (1-λ)·global + λ·dense; MoCo-v2: the global loss
  Tensor loss_global;  // [1], unweighted
  Tensor loss_dense;   // [1], unweighted; undefined for MoCo-v2
  Tensor top1;         // [1], share of queries whose positive is the largest global logit, 0 to 1
  Tensor match;        // int64 [N, S·S]: the key cell matched to each query cell; undefined for MoCo-v2
  Tensor
      match_margin;   // [1], smallest gap between best and second best similarity; undefined unless asked for
  Tensor keys;        // [N, C], L2-normalised
  Tensor dense_keys;  // [N, C], mean over cells, then L2-normalised; undefined for MoCo-v2
};

/// A tensor of the complete state under the authors' name ("encoder_q.0.conv1.weight", "queue", "queue_ptr").
/// In memory weights are [O,kH,kW,I] and queues [K,C]; files have PyTorch's layouts (densecl/state_file.h
/// converts).
struct NamedTensor {
  std::string name;
  Tensor tensor;
};

class ContrastiveModel {
 public:
  /// Throws for an unknown arch and for sizes out of their range. Weights and queues are undefined numbers
  /// until initialise() or a checkpoint fills them.
  explicit ContrastiveModel(const ModelOptions& options);

  /// The authors' initialisation, from `seed`: backbone convolutions normal with std sqrt(2 / fan_in), neck
  /// linear layers the same with bias 0, neck 1×1 convolutions uniform ± 1/sqrt(fan_in), batch norm 1 and 0;
  /// queues of random unit vectors; the key encoder a copy of the query encoder.
  void initialise(std::uint64_t seed);

  const ModelOptions& options() const { return options_; }
  bool dense() const { return options_.method == Method::densecl; }

  /// Queries first, then the momentum update, then the keys, then the losses. `query_view` and `key_view` are
  /// [N,H,W,3]; `permutation` int64 [N] is the order in which the key encoder sees the batch (shuffling batch
  /// norm); `lambda` [1] weighs the dense loss.
  StepOutput forward(const Tensor& query_view, const Tensor& key_view, const Tensor& permutation,
                     const Tensor& lambda);
  /// The same for a later part of a batch that is worked off in several: without the momentum update.
  StepOutput forward_more(const Tensor& query_view, const Tensor& key_view, const Tensor& permutation,
                          const Tensor& lambda);

  /// Writes the keys of a step over the oldest of the queue(s); the ring may wrap inside a batch.
  void enqueue(const Tensor& keys, const Tensor& dense_keys);

  /// Share of the queue that holds real keys rather than the random ones of the start, 0 to 1, after `steps`
  /// batches of `batch`.
  double queue_fill(std::int64_t steps, std::int64_t batch) const;
  /// Has forward() compute StepOutput::match_margin, which tells how far a match is from flipping.
  void set_want_match_margin(bool want) { want_match_margin_ = want; }

  Encoder& encoder_q() { return encoder_q_; }
  Encoder& encoder_k() { return encoder_k_; }
  /// The trained parameters (of encoder_q), with the authors' names, in a fixed order.
  std::vector<std::pair<std::string, Variable>> parameters() const;
  /// Everything a checkpoint of the model holds; the tensors share memory with the model. Call
  /// bump_versions() after writing to them.
  std::vector<NamedTensor> state() const;
  void bump_versions();
  /// Adds `n` to every num_batches_tracked, for steps that were replayed (tensor/cuda/graph.h).
  void count_batches(std::int64_t n);

 private:
  StepOutput forward_batch(const Tensor& query_view, const Tensor& key_view, const Tensor& permutation,
                           const Tensor& lambda, bool update_key_encoder);
  void update_key_encoder();
  Keys make_keys(const Tensor& view, const Tensor& permutation);

  ModelOptions options_;
  bool want_match_margin_ = false;
  Encoder encoder_q_;
  Encoder encoder_k_;
  Tensor queue_;       // [K, C]
  Tensor queue_ptr_;   // int64 [1]
  Tensor queue2_;      // [K, C], dense
  Tensor queue2_ptr_;  // int64 [1]
};

}  // namespace dcl::densecl
