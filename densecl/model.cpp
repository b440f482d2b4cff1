#include "densecl/model.h"

#include <algorithm>

#include "tensor/ops/ema_update.h"
#include "tensor/ops/gather_rows.h"
#include "tensor/ops/inverse_permutation.h"
#include "tensor/ops/normalize.h"
#include "tensor/ops/reduce.h"
#include "tensor/ops/ring_write.h"
#include "tensor/random.h"

namespace dcl::densecl {

namespace {

EncoderOptions encoder_options(const ModelOptions& o) {
  return {.arch = o.arch,
          .hidden = o.hidden,
          .dim = o.dim,
          .dense = o.method == Method::densecl,
          .num_grid = o.num_grid,
          .bn_groups = o.bn_groups,
          .tensors = o.options,
          .bfloat16 = o.bfloat16};
}

void check_options(const ModelOptions& o) {
  const auto positive = [](const char* name, std::int64_t value) {
    check(value > 0, "model: {} is {}, expected at least 1", name, value);
  };
  positive("dim", o.dim);
  positive("hidden", o.hidden);
  positive("queue", o.queue);
  positive("bn_groups", o.bn_groups);
  positive("num_grid", o.num_grid.value_or(1));
  check(!o.bfloat16 || o.options.dtype == tensor::DType::float32,
        "model: bfloat16 activations beside {} parameters, expected float32",
        tensor::name_of(o.options.dtype));
  check(o.temperature > 0, "model: temperature is {}, expected more than 0", o.temperature);
  check(o.momentum >= 0 && o.momentum <= 1, "model: momentum of the key encoder is {}, expected 0 to 1",
        o.momentum);
}

// K random unit vectors [K, C], the start of a queue.
void fill_queue(Tensor& queue, std::uint64_t seed, const char* name) {
  tensor::RandomStream random(
      {.seed = seed, .purpose = tensor::Purpose::queue, .sample = tensor::hash_name(name)});
  Tensor drawn = Tensor::empty(queue.shape(), {queue.dtype(), {}});  // the same bits on every device
  tensor::dispatch_float(queue.dtype(), "queue", [&]<class T>() {
    std::generate_n(drawn.data<T>(), drawn.numel(), [&] { return static_cast<T>(random.normal()); });
  });
  queue.copy_from(DCL_ON_DEVICE(drawn.device(), normalize(drawn)));
}

Tensor unit_rows(const Tensor& x) { return DCL_ON_DEVICE(x.device(), normalize(x)); }

// Rows of a batch in another order; `x` may hold several rows a picture ([N·S², C]).
Tensor reorder(const Tensor& x, const Tensor& order) {
  const std::int64_t n = order.size(0);
  const Tensor pictures = x.reshape({n, x.numel() / n});
  return DCL_ON_DEVICE(x.device(), gather_rows(pictures, order)).reshape(x.shape());
}

void copy_values(nn::Module& to, const nn::Module& from) {
  const auto source = from.parameters();
  auto target = to.parameters();
  for (std::size_t i = 0; i < target.size(); ++i) {
    target[i].variable.mutable_value().copy_from(source[i].variable.value());
    target[i].variable.bump_version();
  }
}

}  // namespace

ContrastiveModel::ContrastiveModel(const ModelOptions& options)
    : options_((check_options(options), options)),
      encoder_q_(encoder_options(options)),
      encoder_k_(encoder_options(options)) {
  encoder_k_.set_requires_grad(false);
  const tensor::TensorOptions counter{tensor::DType::int64, options.options.device};
  queue_ = Tensor::zeros({options.queue, options.dim}, options.options);
  queue_ptr_ = Tensor::zeros({1}, counter);
  if (!dense()) return;
  queue2_ = Tensor::zeros({options.queue, options.dim}, options.options);
  queue2_ptr_ = Tensor::zeros({1}, counter);
}

void ContrastiveModel::initialise(std::uint64_t seed) {
  initialise_encoder(encoder_q_, seed, "encoder_q");
  copy_values(encoder_k_, encoder_q_);
  fill_queue(queue_, seed, "queue");
  if (dense()) fill_queue(queue2_, seed, "queue2");
}

StepOutput ContrastiveModel::forward(const Tensor& query_view, const Tensor& key_view,
                                     const Tensor& permutation, const Tensor& lambda) {
  return forward_batch(query_view, key_view, permutation, lambda, true);
}

StepOutput ContrastiveModel::forward_more(const Tensor& query_view, const Tensor& key_view,
                                          const Tensor& permutation, const Tensor& lambda) {
  return forward_batch(query_view, key_view, permutation, lambda, false);
}

StepOutput ContrastiveModel::forward_batch(const Tensor& query_view, const Tensor& key_view,
                                           const Tensor& permutation, const Tensor& lambda, bool update) {
  tensor::check_dim("model", "query_view", query_view, 4);
  tensor::check_shape("model", "key_view", key_view, query_view.shape());
  tensor::check_shape("model", "permutation", permutation, {query_view.size(0)});
  // The paper has the queries first. Nothing of them enters the keys, and this way the key encoder's
  // activations are gone before those that the gradient needs pile up.
  if (update) update_key_encoder();
  const Keys keys = make_keys(key_view, permutation);
  const EncoderOutput query = encoder_q_.forward(query_view);

  const tensor::InfoNceParams contrast{options_.temperature, options_.bfloat16};
  const auto global = global_loss(query, keys, queue_, contrast);
  StepOutput out;
  out.loss_global = global.loss.value();
  out.top1 = global.top1;
  out.keys = keys.global;
  out.dense_keys = keys.dense_means;
  if (!dense()) {
    out.loss = global.loss;
    return out;
  }
  const auto dense = dense_loss(query, keys, queue2_, contrast, want_match_margin_);
  out.loss_dense = dense.loss.value();
  out.match = dense.match;
  out.match_margin = dense.margin;
  out.loss = total_loss(global.loss, dense.loss, lambda);
  return out;
}

// MoCo, eq. 2; parameters only, batch-norm statistics of the key encoder run on their own.
void ContrastiveModel::update_key_encoder() {
  auto key = encoder_k_.parameters();
  const auto query = encoder_q_.parameters();
  std::vector<tensor::EmaPair> pairs;
  for (std::size_t i = 0; i < key.size(); ++i) {
    pairs.push_back({key[i].variable.mutable_value(), query[i].variable.value()});
    key[i].variable.bump_version();
  }
  DCL_ON_DEVICE(queue_.device(), ema_update(pairs, options_.momentum));
}

// Shuffling batch norm (MoCo, section 3.3): the key encoder sees the batch in another order, so that its
// chunks are not those of the queries.
Keys ContrastiveModel::make_keys(const Tensor& view, const Tensor& permutation) {
  const autograd::NoGradGuard no_grad;
  const auto device = view.device();
  const Tensor back = DCL_ON_DEVICE(device, inverse_permutation(permutation));
  const EncoderOutput key = encoder_k_.forward(reorder(view, permutation));
  Keys keys;
  keys.global = reorder(unit_rows(key.global.value()), back);
  if (!dense()) return keys;
  const tensor::ProfilePart part(kDenseHalf);
  const Tensor& cells = key.dense.value();
  const Tensor means =
      DCL_ON_DEVICE(device, mean(cells.reshape({view.size(0), key.cells, options_.dim}), {1}, false));
  keys.dense = reorder(unit_rows(cells), back);
  keys.dense_means = reorder(unit_rows(means), back);
  keys.features = reorder(key.features.value(), back);
  return keys;
}

void ContrastiveModel::enqueue(const Tensor& keys, const Tensor& dense_keys) {
  DCL_ON_DEVICE(queue_.device(), ring_write(queue_, queue_ptr_, keys));
  if (dense()) DCL_ON_DEVICE(queue2_.device(), ring_write(queue2_, queue2_ptr_, dense_keys));
}

double ContrastiveModel::queue_fill(std::int64_t steps, std::int64_t batch) const {
  return std::min(
      1.0, static_cast<double>(steps) * static_cast<double>(batch) / static_cast<double>(options_.queue));
}

std::vector<std::pair<std::string, Variable>> ContrastiveModel::parameters() const {
  std::vector<std::pair<std::string, Variable>> all;
  for (auto& [name, variable] : encoder_q_.parameters("encoder_q")) all.emplace_back(name, variable);
  return all;
}

std::vector<NamedTensor> ContrastiveModel::state() const {
  std::vector<NamedTensor> all;
  for (auto& [name, tensor] : encoder_q_.state("encoder_q")) all.push_back({name, tensor});
  for (auto& [name, tensor] : encoder_k_.state("encoder_k")) all.push_back({name, tensor});
  all.push_back({"queue", queue_});
  all.push_back({"queue_ptr", queue_ptr_});
  if (!dense()) return all;
  all.push_back({"queue2", queue2_});
  all.push_back({"queue2_ptr", queue2_ptr_});
  return all;
}

void ContrastiveModel::bump_versions() {
  for (const auto* encoder : {&encoder_q_, &encoder_k_})
    for (auto& [name, variable] : encoder->parameters()) variable.bump_version();
}

void ContrastiveModel::count_batches(std::int64_t n) {
  for (auto& [name, tensor] : state())
    if (name.ends_with(".num_batches_tracked")) *tensor.data<std::int64_t>() += n;
}

}  // namespace dcl::densecl
