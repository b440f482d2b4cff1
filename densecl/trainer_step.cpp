#include "densecl/trainer_step.h"

#include <algorithm>
#include <cmath>

#include "autograd/variable.h"
#include "tensor/cuda/graph.h"
#include "tensor/device.h"
#include "tensor/interrupt.h"
#include "tensor/ops/concat.h"
#include "tensor/ops/elementwise.h"
#include "tensor/ops/reduce.h"
#include "tensor/random.h"

namespace dcl::densecl {

namespace {

bool all_finite(const Tensor& tensor) {
  if (!tensor.defined() || tensor.dtype() != tensor::DType::float32) return true;
  if (tensor.device().is_cuda()) {  // 0·x is NaN just where x is not finite
    const Tensor zeros = DCL_ON_DEVICE(tensor.device(), scale(tensor.reshape({-1}), 0));
    return DCL_ON_DEVICE(tensor.device(), sum(zeros, {0}, false)).item() == 0;
  }
  const float* values = tensor.data<float>();
  return std::all_of(values, values + tensor.numel(), [](float value) { return std::isfinite(value); });
}

bool is_statistic(const std::string& name) {
  return name.find(".running_") != std::string::npos || name.ends_with(".num_batches_tracked");
}

bool is_of_key_encoder(const std::string& name) { return name.starts_with("encoder_k."); }

// What a forward pass changes even when its loss is thrown away.
class Copy {
 public:
  template <class Wanted>
  Copy(const ContrastiveModel& model, const Wanted& wanted) {
    for (auto& [name, tensor] : model.state())
      if (wanted(name)) copies_.emplace_back(tensor, tensor.clone());
  }
  void restore() {
    for (auto& [tensor, copy] : copies_) tensor.copy_from(copy);
  }

 private:
  std::vector<std::pair<Tensor, Tensor>> copies_;
};

// In the order in which they enter the computation.
std::vector<NamedTensor> step_tensors(const Tensor& query_view, const Tensor& key_view,
                                      const ContrastiveModel& model, const StepOutput& out) {
  std::vector<NamedTensor> all = {{"query_view", query_view}, {"key_view", key_view}};
  for (auto& each : model.state()) all.push_back(each);
  for (const auto& each : {NamedTensor{"keys", out.keys},
                           {"dense_keys", out.dense_keys},
                           {"loss_global", out.loss_global},
                           {"loss_dense", out.loss_dense}})
    all.push_back(each);
  return all;
}

// Its steps are equal from the second on (the first makes the momentum buffers), and the second has asked for
// all the memory and plans that it needs.
constexpr std::int64_t kStepsBeforeGraph = 2;

bool wants_graph(const TrainConfig& config, const ContrastiveModel& model) {
  return model.options().options.device.is_cuda() && config.cuda_graph != "off" &&
         config.skip_nonfinite == 0 && !config.profile;
}

}  // namespace

std::optional<std::string> first_nonfinite(const std::vector<NamedTensor>& tensors) {
  const auto found = std::find_if(tensors.begin(), tensors.end(),
                                  [](const NamedTensor& each) { return !all_finite(each.tensor); });
  return found == tensors.end() ? std::nullopt : std::optional(found->name);
}

TrainStep::TrainStep(const TrainConfig& config, std::int64_t iterations, ContrastiveModel& model,
                     optim::Sgd& optimizer)
    : config_(config),
      iterations_(iterations),
      model_(model),
      optimizer_(optimizer),
      as_graph_(wants_graph(config, model)) {}

StepResult TrainStep::run(const data::Batch& batch, const Position& position,
                          const std::function<bool()>& abandon, const std::function<void()>& meanwhile) {
  if (as_graph_ && eager_steps_ >= kStepsBeforeGraph && (graph_ != nullptr || can_capture(batch, position)))
    return run_graph(batch, position, meanwhile);
  ++eager_steps_;
  return run_eager(batch, position, abandon);
}

// With "auto" a step that cannot be captured is one that runs op by op, from where it stood.
bool TrainStep::can_capture(const data::Batch& batch, const Position& position) {
  const auto counters = [this] {
    std::vector<std::pair<Tensor, Tensor>> all;
    for (auto& [name, tensor] : model_.state())
      if (tensor.device().is_cpu()) all.emplace_back(tensor, tensor.clone());
    return all;
  }();
  try {
    graph_ = capture(batch, position);
    captured_now_ = true;  // with this step's inputs
    return true;
  } catch (const Error& error) {
    if (config_.cuda_graph == "on") throw;
    for (auto& [tensor, before] : counters) Tensor(tensor).copy_from(before);
    optimizer_.zero_grad();
    as_graph_ = false;
    if (say_no_graph_) say_no_graph_(error.what());
    return false;
  }
}

TrainStep::Inputs TrainStep::inputs(const data::Batch& batch, const Position& position) const {
  const tensor::TensorOptions options = model_.options().options;
  Inputs in;
  in.query_view = batch.query_view.to(options.device);
  in.key_view = batch.key_view.to(options.device);
  for (std::int64_t part = 0; part < config_.accumulate; ++part)
    in.orders.push_back(permutation(position.step, part).to(options.device));
  in.lambda = Tensor::scalar(lambda(position.step), options);
  in.lr = Tensor::scalar(lr(position), options);
  return in;
}

StepResult TrainStep::run_eager(const data::Batch& batch, const Position& position,
                                const std::function<bool()>& abandon) {
  StepResult result;
  result.lr = lr(position);
  result.lambda = lambda(position.step);
  const Inputs in = inputs(batch, position);
  std::optional<Copy> statistics;
  std::optional<Copy> before;
  if (config_.skip_nonfinite > 0) statistics.emplace(model_, is_statistic);
  if (abandon)
    before.emplace(model_, [](const auto& name) { return is_statistic(name) || is_of_key_encoder(name); });
  Keys keys;
  try {
    const tensor::InterruptScope scope(abandon);
    keys = differentiate(in, result);
  } catch (const tensor::Interrupted&) {
    before->restore();
    model_.bump_versions();
    result.abandoned = true;
  }
  if (result.nonfinite && statistics) statistics->restore();
  if (!result.nonfinite && !result.abandoned) update(keys, in.lr);
  optimizer_.zero_grad();
  return result;
}

TrainStep::Keys TrainStep::differentiate(const Inputs& in, StepResult& result) {
  Keys keys;
  for (std::int64_t part = 0; part < config_.accumulate; ++part) {
    const StepOutput out = forward(in, part);
    accumulate(result, out);
    if (!std::isfinite(out.loss.value().item())) {
      result.nonfinite =
          first_nonfinite(step_tensors(in.query_view, in.key_view, model_, out)).value_or("loss");
      return keys;
    }
    backward(out, keys);
  }
  if (config_.skip_nonfinite > 0) result.nonfinite = first_nonfinite_gradient();
  return keys;
}

StepOutput TrainStep::forward(const Inputs& in, std::int64_t part) {
  const std::int64_t size = in.query_view.size(0) / config_.accumulate;
  const Tensor query = in.query_view.rows(part * size, (part + 1) * size);
  const Tensor key = in.key_view.rows(part * size, (part + 1) * size);
  const Tensor& order = in.orders[static_cast<std::size_t>(part)];
  return part == 0 ? model_.forward(query, key, order, in.lambda)
                   : model_.forward_more(query, key, order, in.lambda);
}

void TrainStep::backward(const StepOutput& out, Keys& keys) const {
  autograd::backward(out.loss, Tensor::full(out.loss.shape(), 1.0 / static_cast<double>(config_.accumulate),
                                            out.loss.value().options()));
  keys.global.push_back(out.keys);
  if (model_.dense()) keys.dense.push_back(out.dense_keys);
}

// Nothing is computed yet. The host has counted a batch for each part by then.
std::unique_ptr<TrainStep::Graph> TrainStep::capture(const data::Batch& batch, const Position& position) {
  auto graph = std::make_unique<Graph>(Graph{inputs(batch, position), {}, nullptr});
  // Tensors of its own, which later batches are copied to.
  for (Tensor* view : {&graph->inputs.query_view, &graph->inputs.key_view})
    if (view->shares_with(batch.query_view) || view->shares_with(batch.key_view)) *view = view->clone();
  if constexpr (tensor::has_cuda) {
    graph->work = tensor::cuda::make_work_graph(model_.options().options.device);
    graph->work->capture([&] {
      Keys keys;
      for (std::int64_t part = 0; part < config_.accumulate; ++part) {
        graph->outputs.push_back(forward(graph->inputs, part));
        backward(graph->outputs.back(), keys);
      }
      update(keys, graph->inputs.lr);
      optimizer_.zero_grad();
    });
  }
  return graph;
}

StepResult TrainStep::run_graph(const data::Batch& batch, const Position& position,
                                const std::function<void()>& meanwhile) {
  if (!std::exchange(captured_now_, false)) {
    Inputs& in = graph_->inputs;
    in.query_view.copy_from(batch.query_view);
    in.key_view.copy_from(batch.key_view);
    for (std::int64_t part = 0; part < config_.accumulate; ++part)
      in.orders[static_cast<std::size_t>(part)].copy_from(permutation(position.step, part));
    in.lambda.fill(lambda(position.step));
    in.lr.fill(lr(position));
    model_.count_batches(config_.accumulate);
  }
  if constexpr (tensor::has_cuda) graph_->work->replay();
  model_.bump_versions();
  if (meanwhile) meanwhile();
  StepResult result;
  result.lr = lr(position);
  result.lambda = lambda(position.step);
  for (const StepOutput& out : graph_->outputs) accumulate(result, out);
  if (!std::isfinite(result.loss))
    result.nonfinite = first_nonfinite(step_tensors(graph_->inputs.query_view, graph_->inputs.key_view,
                                                    model_, graph_->outputs.front()))
                           .value_or("loss");
  return result;
}

void TrainStep::accumulate(StepResult& result, const StepOutput& out) const {
  const double share = 1.0 / static_cast<double>(config_.accumulate);
  result.loss_global += share * out.loss_global.item();
  if (model_.dense()) result.loss_dense += share * out.loss_dense.item();
  result.loss += share * out.loss.value().item();
  result.top1 += share * out.top1.item();
}

void TrainStep::update(const Keys& keys, const Tensor& lr) {
  const auto joined = [](const std::vector<Tensor>& parts) {
    if (parts.empty()) return Tensor();
    return parts.size() == 1 ? parts.front() : DCL_ON_DEVICE(parts.front().device(), concat(parts));
  };
  optimizer_.step(lr);
  model_.enqueue(joined(keys.global), joined(keys.dense));
}

std::optional<std::string> TrainStep::first_nonfinite_gradient() const {
  for (const auto& [name, parameter] : model_.parameters())
    if (!all_finite(parameter.grad())) return "gradient of " + name;
  return std::nullopt;
}

Tensor TrainStep::permutation(std::int64_t step, std::int64_t part) const {
  const std::int64_t size = config_.batch_size / config_.accumulate;
  std::vector<std::int64_t> order(static_cast<std::size_t>(size));
  if (config_.bn_groups == 1) {
    for (std::int64_t i = 0; i < size; ++i) order[static_cast<std::size_t>(i)] = i;
  } else {
    order = tensor::RandomStream({.seed = static_cast<std::uint64_t>(config_.seed),
                                  .purpose = tensor::Purpose::batch_shuffle,
                                  .epoch = static_cast<std::uint32_t>(part),
                                  .sample = static_cast<std::uint64_t>(step)})
                .permutation(size);
  }
  return Tensor::from(order, {size});
}

double TrainStep::lambda(std::int64_t step) const {
  return step < config_.lambda_warmup ? 0 : config_.loss_lambda;
}

double TrainStep::lr(const Position& position) const {
  return optim::learning_rate(lr_schedule(config_), position.epoch, position.iteration, iterations_);
}

}  // namespace dcl::densecl
