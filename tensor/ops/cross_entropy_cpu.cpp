#include <algorithm>
#include <cmath>

#include "tensor/cpu/threads.h"
#include "tensor/ops/cross_entropy.h"
#include "tensor/ops/cross_entropy_checks.h"

namespace dcl::tensor::cpu {

namespace {

constexpr std::int64_t kGrain = 4096;  // elements; exp makes them dear

void check_arguments(const Tensor& logits, const Tensor& targets) {
  check_cross_entropy(logits, targets);
  for (std::int64_t i = 0; i < targets.numel(); ++i) {
    const std::int64_t target = targets.data<std::int64_t>()[i];
    check(0 <= target && target < logits.size(1),
          "cross_entropy: targets[{}] is {}, logits {} has {} classes", i, target, logits.shape().str(),
          logits.size(1));
  }
}

// log Σ_c exp(row[c])
template <class T>
double log_sum_exp(const T* row, std::int64_t columns) {
  const double m = static_cast<double>(*std::max_element(row, row + columns));
  double sum = 0;
  for (std::int64_t c = 0; c < columns; ++c) sum += std::exp(static_cast<double>(row[c]) - m);
  return m + std::log(sum);
}

}  // namespace

Tensor cross_entropy(const Tensor& logits, const Tensor& targets) {
  check_arguments(logits, targets);
  return dispatch_float(logits.dtype(), "cross_entropy", [&]<class T>() {
    const std::int64_t rows = logits.size(0);
    const std::int64_t columns = logits.size(1);
    const T* logits_data = logits.data<T>();
    const std::int64_t* targets_data = targets.data<std::int64_t>();
    std::vector<double> losses(static_cast<std::size_t>(rows));
    parallel_for(rows, kGrain / columns + 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        const T* row = logits_data + i * columns;
        losses[static_cast<std::size_t>(i)] =
            log_sum_exp(row, columns) - static_cast<double>(row[targets_data[i]]);
      }
    });
    double sum = 0;
    for (const double loss : losses) sum += loss;
    return Tensor::scalar(sum / static_cast<double>(rows), logits.options());
  });
}

// dlogits[i,c] = dloss/M (softmax(logits[i])_c − [c = targets[i]])
Tensor cross_entropy_backward(const Tensor& grad_loss, const Tensor& logits, const Tensor& targets) {
  check_arguments(logits, targets);
  check_shape("cross_entropy", "grad_loss", grad_loss, {1});
  return dispatch_float(logits.dtype(), "cross_entropy", [&]<class T>() {
    const std::int64_t rows = logits.size(0);
    const std::int64_t columns = logits.size(1);
    const T* logits_data = logits.data<T>();
    const std::int64_t* targets_data = targets.data<std::int64_t>();
    const double factor = grad_loss.item() / static_cast<double>(rows);
    Tensor grad_logits = empty_like(logits);
    T* grad_logits_data = grad_logits.data<T>();
    parallel_for(rows, kGrain / columns + 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        const T* row = logits_data + i * columns;
        const double log_sum = log_sum_exp(row, columns);
        for (std::int64_t c = 0; c < columns; ++c) {
          const double probability = std::exp(static_cast<double>(row[c]) - log_sum);
          grad_logits_data[i * columns + c] =
              static_cast<T>(factor * (probability - (c == targets_data[i] ? 1.0 : 0.0)));
        }
      }
    });
    return grad_logits;
  });
}

}  // namespace dcl::tensor::cpu
