#include <cmath>

#include "tensor/cuda/row_team.h"
#include "tensor/ops/cross_entropy.h"
#include "tensor/ops/cross_entropy_checks.h"

namespace dcl::tensor::cuda {

namespace {

// log Σ_c exp(row[c])
template <class Team, class T>
__device__ double log_sum_exp(std::int64_t columns, const T* row) {
  double m = -std::numeric_limits<double>::infinity();
  Team::for_each_pack(columns, [&](std::int64_t c) {
    const auto pack = load_pack<Team::kWidth>(row + c);
    for (const T value : pack.values) m = value > m || value != value ? static_cast<double>(value) : m;
  });
  m = Team::max(m);
  double sum = 0;
  Team::for_each_pack(columns, [&](std::int64_t c) {
    const auto pack = load_pack<Team::kWidth>(row + c);
    for (const T value : pack.values) sum += std::exp(static_cast<double>(value) - m);
  });
  return m + std::log(Team::sum(sum));
}

// losses [M]
template <class Team, class T>
__global__ void row_losses(std::int64_t rows, std::int64_t columns, const T* logits,
                           const std::int64_t* targets, double* losses) {
  Team::for_each_row(rows, [&](std::int64_t i) {
    const T* row = logits + i * columns;
    const double log_sum = log_sum_exp<Team>(columns, row);
    const std::int64_t target = targets[i];
    const bool known = 0 <= target && target < columns;
    if (Team::is_first())
      losses[i] =
          known ? log_sum - static_cast<double>(row[target]) : std::numeric_limits<double>::quiet_NaN();
  });
}

// One block; `loss` [1].
template <class Team, class T>
__global__ void mean_loss(std::int64_t rows, const double* losses, T* loss) {
  double sum = 0;
  Team::for_each_pack(rows, [&](std::int64_t i) { sum += losses[i]; });
  sum = Team::sum(sum);
  if (Team::is_first()) *loss = static_cast<T>(sum / static_cast<double>(rows));
}

template <class Team, class T>
__global__ void row_gradients(std::int64_t rows, std::int64_t columns, const T* grad_loss, const T* logits,
                              const std::int64_t* targets, T* grad_logits) {
  Team::for_each_row(rows, [&](std::int64_t i) {
    const T* row = logits + i * columns;
    const double log_sum = log_sum_exp<Team>(columns, row);
    const std::int64_t target = targets[i];
    const bool known = 0 <= target && target < columns;
    const double factor = known ? static_cast<double>(*grad_loss) / static_cast<double>(rows)
                                : std::numeric_limits<double>::quiet_NaN();
    Team::for_each_pack(columns, [&](std::int64_t c) {
      auto pack = load_pack<Team::kWidth>(row + c);
      for (int k = 0; k < Team::kWidth; ++k) {
        const double probability = std::exp(static_cast<double>(pack.values[k]) - log_sum);
        pack.values[k] = static_cast<T>(factor * (probability - (c + k == target ? 1.0 : 0.0)));
      }
      store_pack(grad_logits + i * columns + c, pack);
    });
  });
}

}  // namespace

Tensor cross_entropy(const Tensor& logits, const Tensor& targets) {
  check_cross_entropy(logits, targets);
  return dispatch_float(logits.dtype(), "cross_entropy", [&]<class T>() {
    const std::int64_t rows = logits.size(0);
    const std::int64_t columns = logits.size(1);
    Tensor losses = Tensor::empty({rows}, {DType::float64, logits.device()});
    Tensor loss = Tensor::empty({1}, logits.options());
    with_row_team<T>(columns, {logits.raw()}, [&]<class Team>() {
      launch("cross_entropy", row_losses<Team, T>, Team::shape(rows), rows, columns, logits.data<T>(),
             targets.data<std::int64_t>(), losses.data<double>());
    });
    using Block = RowTeam<256>;
    launch("cross_entropy", mean_loss<Block, T>, Block::shape(1), rows, losses.data<double>(),
           loss.data<T>());
    return loss;
  });
}

// dlogits[i,c] = dloss/M (softmax(logits[i])_c − [c = targets[i]])
Tensor cross_entropy_backward(const Tensor& grad_loss, const Tensor& logits, const Tensor& targets) {
  check_cross_entropy(logits, targets);
  check_shape("cross_entropy", "grad_loss", grad_loss, {1});
  return dispatch_float(logits.dtype(), "cross_entropy", [&]<class T>() {
    const std::int64_t rows = logits.size(0);
    const std::int64_t columns = logits.size(1);
    Tensor grad_logits = empty_like(logits);
    with_row_team<T>(columns, {logits.raw()}, [&]<class Team>() {
      launch("cross_entropy", row_gradients<Team, T>, Team::shape(rows), rows, columns, grad_loss.data<T>(),
             logits.data<T>(), targets.data<std::int64_t>(), grad_logits.data<T>());
    });
    return grad_logits;
  });
}

}  // namespace dcl::tensor::cuda
