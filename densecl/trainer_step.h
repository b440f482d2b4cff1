// One step of training: from a batch of view pairs to changed weights and queues.
//
// The order (He et al. 2020, algorithm 1): queries, momentum update, keys, loss, backward, SGD, and the keys
// into the queue last. A batch that is worked off in parts (--accumulate) has its momentum update before the
// first part's keys only; SGD and queue come once, after the last part; batch norm sees the part.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "data/loader.h"
#include "densecl/checkpoint_folder.h"
#include "densecl/config.h"
#include "densecl/model.h"
#include "optim/sgd.h"

namespace dcl::tensor::cuda {
class WorkGraph;  // tensor/cuda/graph.h
}

namespace dcl::densecl {

struct StepResult {
  double lr = 0;
  double lambda = 0;
  double loss_global = 0;  // unweighted; like the others the mean over the parts
  double loss_dense = 0;   // unweighted; 0 for MoCo-v2
  double loss = 0;
  double top1 = 0;  // 0 to 1
  /// The first tensor, in the order of computation, that is not finite; then no trained weight, momentum or
  /// queue was changed (the key encoder has followed, and batch norm's statistics too unless skipping is on),
  /// unless the step ran as a CUDA graph.
  std::optional<std::string> nonfinite;
  /// The step was left before its end and everything stands as before it.
  bool abandoned = false;
};

class TrainStep {
 public:
  /// `iterations` an epoch has. Keeps references.
  TrainStep(const TrainConfig& config, std::int64_t iterations, ContrastiveModel& model,
            optim::Sgd& optimizer);

  /// Whether steps are to run as a CUDA graph.
  bool as_graph() const { return as_graph_; }
  /// Says, once, that steps cannot run as a graph and why; they run op by op then.
  void on_no_graph(std::function<void(const std::string& why)> say) { say_no_graph_ = std::move(say); }

  /// With `abandon`, asked before every op, the step can be left: it then costs a copy of the key encoder. A
  /// step that runs as a CUDA graph (--cuda-graph) is short and never left; it finds a loss that is not
  /// finite after its update. Then `meanwhile` is called once the device has been asked for the whole step,
  /// which reads no more of `batch`, before its losses are waited for.
  StepResult run(const data::Batch& batch, const Position& position,
                 const std::function<bool()>& abandon = nullptr,
                 const std::function<void()>& meanwhile = nullptr);

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

  /// What a step computes with, on the model's device.
  struct Inputs {
    Tensor query_view;           // [N,H,W,3]
    Tensor key_view;             // [N,H,W,3]
    std::vector<Tensor> orders;  // of each part: permutation()
    Tensor lambda;               // [1]
    Tensor lr;                   // [1]
  };
  /// The same step again and again as one CUDA graph.
  struct Graph {
    Inputs inputs;
    std::vector<StepOutput> outputs;  // of each part
    std::shared_ptr<tensor::cuda::WorkGraph> work;
  };

  Inputs inputs(const data::Batch& batch, const Position& position) const;
  StepResult run_eager(const data::Batch& batch, const Position& position,
                       const std::function<bool()>& abandon);
  StepResult run_graph(const data::Batch& batch, const Position& position,
                       const std::function<void()>& meanwhile);
  bool can_capture(const data::Batch& batch, const Position& position);
  std::unique_ptr<Graph> capture(const data::Batch& batch, const Position& position);

  /// Queries, keys, losses and gradients, without SGD and queue.
  Keys differentiate(const Inputs& in, StepResult& result);
  StepOutput forward(const Inputs& in, std::int64_t part);
  void backward(const StepOutput& out, Keys& keys) const;
  void accumulate(StepResult& result, const StepOutput& out) const;
  void update(const Keys& keys, const Tensor& lr);
  std::optional<std::string> first_nonfinite_gradient() const;

  const TrainConfig& config_;
  std::int64_t iterations_;
  ContrastiveModel& model_;
  optim::Sgd& optimizer_;
  bool as_graph_;
  bool captured_now_ = false;
  std::int64_t eager_steps_ = 0;
  std::unique_ptr<Graph> graph_;
  std::function<void(const std::string&)> say_no_graph_;
};

/// The name of the first tensor with a number that is not finite, or nothing.
std::optional<std::string> first_nonfinite(const std::vector<NamedTensor>& tensors);

}  // namespace dcl::densecl
