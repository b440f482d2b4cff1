// One step of training: from a batch of view pairs to changed weights and queues.
//
// The order (He et al. 2020, algorithm 1): queries, momentum update, keys, loss, backward, SGD, and the keys
// into the queue last. A batch that is worked off in parts (--accumulate) has its momentum update before the
// first part's keys only; SGD and queue come once, after the last part; batch norm sees the part.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "data/loader.h"
#include "densecl/checkpoint_folder.h"
#include "densecl/config.h"
#include "densecl/model.h"
#include "optim/sgd.h"

namespace dcl::densecl {

struct StepResult {
  double lr = 0;
  double lambda = 0;
  double loss_global = 0;  // unweighted; like the others the mean over the parts
  double loss_dense = 0;   // unweighted; 0 for MoCo-v2
  double loss = 0;
  double top1 = 0;  // 0 to 1
  /// The first tensor, in the order of computation, that is not finite; then no trained weight, momentum or
  /// queue was changed (the key encoder has followed, and batch norm's statistics too unless skipping is on).
  std::optional<std::string> nonfinite;
  /// The step was left before its end and everything stands as before it.
  bool abandoned = false;
};

class TrainStep {
 public:
  /// `iterations` an epoch has. Keeps references.
  TrainStep(const TrainConfig& config, std::int64_t iterations, ContrastiveModel& model,
            optim::Sgd& optimizer)
      : config_(config), iterations_(iterations), model_(model), optimizer_(optimizer) {}

  /// With `abandon`, asked before every op, the step can be left: it then costs a copy of the key encoder.
  StepResult run(const data::Batch& batch, const Position& position,
                 const std::function<bool()>& abandon = nullptr);

  /// The order in which the key encoder sees part `part` of the batch at `step`: a function of the seed. With
  /// one group of batch norm there is nothing to shuffle.
  Tensor permutation(std::int64_t step, std::int64_t part) const;
  /// 0 while the dense loss warms up.
  double lambda(std::int64_t step) const;
  double lr(const Position& position) const;

 private:
  struct Keys {
    std::vector<Tensor> global;
    std::vector<Tensor> dense;
  };

  /// Queries, keys, losses and gradients, without SGD and queue.
  Keys differentiate(const data::Batch& batch, std::int64_t step, StepResult& result);
  StepOutput forward(const data::Batch& batch, std::int64_t step, std::int64_t part, double lambda);
  void accumulate(StepResult& result, const StepOutput& out) const;
  void update(const Keys& keys, double lr);
  std::optional<std::string> first_nonfinite_gradient() const;

  const TrainConfig& config_;
  std::int64_t iterations_;
  ContrastiveModel& model_;
  optim::Sgd& optimizer_;
};

/// The name of the first tensor with a number that is not finite, or nothing.
std::optional<std::string> first_nonfinite(const std::vector<NamedTensor>& tensors);

}  // namespace dcl::densecl
