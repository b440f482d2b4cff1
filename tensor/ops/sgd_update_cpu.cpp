#include <vector>

#include "tensor/cpu/sweep.h"
#include "tensor/ops/sgd_update.h"
#include "tensor/ops/sgd_update_kernels.h"

namespace dcl::tensor::cpu {

namespace {

template <class T>
void step_range(const SgdEntry& entry, double lr, const SgdParams& params, std::int64_t begin,
                std::int64_t end) {
  const SgdStep<T> step(lr, params);
  Tensor param_handle = entry.param;
  Tensor buffer_handle = entry.momentum_buffer;
  T* param = param_handle.data<T>() + begin;
  const T* grad = entry.grad.data<T>() + begin;
  const auto& kernels = sgd_kernels<T>();
  if (params.momentum == 0) return kernels.plain(step, end - begin, param, grad);
  kernels.momentum[entry.first_step][params.nesterov](step, end - begin, param, grad,
                                                      buffer_handle.data<T>() + begin);
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
