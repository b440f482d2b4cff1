#include <vector>

#include "tensor/cpu/sweep.h"
#include "tensor/ops/sgd_update.h"
#include "tensor/ops/sgd_update_step.h"

namespace dcl::tensor::cpu {

namespace {

template <class T>
void step_plain(const SgdStep<T>& step, std::int64_t n, T* __restrict param, const T* __restrict grad) {
  for (std::int64_t i = 0; i < n; ++i) step.plain(param[i], grad[i]);
}

template <bool first, bool nesterov, class T>
void step_momentum(const SgdStep<T>& step, std::int64_t n, T* __restrict param, const T* __restrict grad,
                   T* __restrict buffer) {
  for (std::int64_t i = 0; i < n; ++i)
    step.template with_momentum<first, nesterov>(param[i], grad[i], buffer[i]);
}

template <class T>
void step_range(const SgdEntry& entry, double lr, const SgdParams& params, std::int64_t begin,
                std::int64_t end) {
  const SgdStep<T> step(lr, params);
  Tensor param_handle = entry.param;
  Tensor buffer_handle = entry.momentum_buffer;
  T* param = param_handle.data<T>() + begin;
  const T* grad = entry.grad.data<T>() + begin;
  if (params.momentum == 0) return step_plain(step, end - begin, param, grad);
  T* buffer = buffer_handle.data<T>() + begin;
  const auto run = entry.first_step
                       ? (params.nesterov ? step_momentum<true, true, T> : step_momentum<true, false, T>)
                       : (params.nesterov ? step_momentum<false, true, T> : step_momentum<false, false, T>);
  run(step, end - begin, param, grad, buffer);
}

}  // namespace

void sgd_update(std::span<const SgdEntry> entries, const Tensor& lr, const SgdParams& params) {
  check_sgd_update(entries, lr, params);
  std::vector<std::int64_t> sizes;
  for (const auto& entry : entries) {
    sizes.push_back(entry.param.numel());
    // The parameter and its momentum are read and written.
    count_work({0, 2 * bytes_of({&entry.param, &entry.momentum_buffer}) + bytes_of({&entry.grad})});
  }
  const double rate = lr.item();
  parallel_sweep(sizes, [&](std::size_t i, std::int64_t begin, std::int64_t end) {
    dispatch_float(entries[i].param.dtype(), "sgd_update",
                   [&]<class T>() { step_range<T>(entries[i], rate, params, begin, end); });
  });
}

}  // namespace dcl::tensor::cpu
