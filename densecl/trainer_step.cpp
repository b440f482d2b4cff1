#include "densecl/trainer_step.h"

#include <algorithm>
#include <cmath>

#include "autograd/variable.h"
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
std::vector<NamedTensor> step_tensors(const data::Batch& batch, const ContrastiveModel& model,
                                      const StepOutput& out) {
  std::vector<NamedTensor> all = {{"query_view", batch.query_view}, {"key_view", batch.key_view}};
  for (auto& each : model.state()) all.push_back(each);
  for (const auto& each : {NamedTensor{"keys", out.keys},
                           {"dense_keys", out.dense_keys},
                           {"loss_global", out.loss_global},
                           {"loss_dense", out.loss_dense}})
    all.push_back(each);
  return all;
}

}  // namespace

std::optional<std::string> first_nonfinite(const std::vector<NamedTensor>& tensors) {
  const auto found = std::find_if(tensors.begin(), tensors.end(),
                                  [](const NamedTensor& each) { return !all_finite(each.tensor); });
  return found == tensors.end() ? std::nullopt : std::optional(found->name);
}

StepResult TrainStep::run(const data::Batch& batch, const Position& position,
                          const std::function<bool()>& abandon) {
  StepResult result;
  result.lr = lr(position);
  result.lambda = lambda(position.step);
  std::optional<Copy> statistics;
  std::optional<Copy> before;
  if (config_.skip_nonfinite > 0) statistics.emplace(model_, is_statistic);
  if (abandon)
    before.emplace(model_, [](const auto& name) { return is_statistic(name) || is_of_key_encoder(name); });
  Keys keys;
  try {
    const tensor::InterruptScope scope(abandon);
    keys = differentiate(batch, position.step, result);
  } catch (const tensor::Interrupted&) {
    before->restore();
    model_.bump_versions();
    result.abandoned = true;
  }
  if (result.nonfinite && statistics) statistics->restore();
  if (!result.nonfinite && !result.abandoned) update(keys, result.lr);
  optimizer_.zero_grad();
  return result;
}

TrainStep::Keys TrainStep::differentiate(const data::Batch& batch, std::int64_t step, StepResult& result) {
  Keys keys;
  for (std::int64_t part = 0; part < config_.accumulate; ++part) {
    const StepOutput out = forward(batch, step, part, result.lambda);
    accumulate(result, out);
    if (!std::isfinite(out.loss.value().item())) {
      result.nonfinite = first_nonfinite(step_tensors(batch, model_, out)).value_or("loss");
      return keys;
    }
    autograd::backward(out.loss, Tensor::full(out.loss.shape(), 1.0 / static_cast<double>(config_.accumulate),
                                              out.loss.value().options()));
    keys.global.push_back(out.keys);
    if (model_.dense()) keys.dense.push_back(out.dense_keys);
  }
  if (config_.skip_nonfinite > 0) result.nonfinite = first_nonfinite_gradient();
  return keys;
}

StepOutput TrainStep::forward(const data::Batch& batch, std::int64_t step, std::int64_t part, double lambda) {
  const std::int64_t size = batch.query_view.size(0) / config_.accumulate;
  const tensor::Device device = model_.options().options.device;
  const auto part_of = [&](const Tensor& view) {
    return view.rows(part * size, (part + 1) * size).to(device);
  };
  const Tensor query = part_of(batch.query_view);
  const Tensor key = part_of(batch.key_view);
  const Tensor order = permutation(step, part).to(device);
  const Tensor weight = Tensor::scalar(lambda).to(device);
  return part == 0 ? model_.forward(query, key, order, weight)
                   : model_.forward_more(query, key, order, weight);
}

void TrainStep::accumulate(StepResult& result, const StepOutput& out) const {
  const double share = 1.0 / static_cast<double>(config_.accumulate);
  result.loss_global += share * out.loss_global.item();
  if (model_.dense()) result.loss_dense += share * out.loss_dense.item();
  result.loss += share * out.loss.value().item();
  result.top1 += share * out.top1.item();
}

void TrainStep::update(const Keys& keys, double lr) {
  const auto joined = [](const std::vector<Tensor>& parts) {
    if (parts.empty()) return Tensor();
    return parts.size() == 1 ? parts.front() : DCL_ON_DEVICE(parts.front().device(), concat(parts));
  };
  optimizer_.step(Tensor::scalar(lr).to(model_.options().options.device));
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
