#include <cmath>
#include <vector>

#include "tensor/cpu/sweep.h"
#include "tensor/ops/sgd_update.h"

namespace dcl::tensor {

void check_sgd_params(const SgdParams& params) {
  const auto check_coefficient = [](const char* name, double value) {
    check(std::isfinite(value) && value >= 0, "sgd: {} is {}, expected a finite number, at least 0", name,
          value);
  };
  check_coefficient("momentum", params.momentum);
  check_coefficient("weight_decay", params.weight_decay);
  check(std::isfinite(params.dampening), "sgd: dampening is {}, expected a finite number", params.dampening);
  check(!params.nesterov || (params.momentum > 0 && params.dampening == 0),
        "sgd: Nesterov needs momentum and no dampening, got momentum {} and dampening {}", params.momentum,
        params.dampening);
}

namespace cpu {

namespace {

void check_entry(const SgdEntry& entry, const SgdParams& params) {
  check(entry.param.defined(), "sgd_update: param is undefined");
  const auto check_like_param = [&](const char* argument, const Tensor& tensor) {
    check_dtype("sgd_update", argument, tensor, entry.param.dtype());
    check_shape("sgd_update", argument, tensor, entry.param.shape());
  };
  check_like_param("grad", entry.grad);
  if (params.momentum != 0) check_like_param("momentum_buffer", entry.momentum_buffer);
}

template <class T>
struct Coefficients {
  T lr;
  T momentum;
  T weight_decay;
  T keep;  // 1 − dampening

  Coefficients(double rate, const SgdParams& params)
      : lr(static_cast<T>(rate)),
        momentum(static_cast<T>(params.momentum)),
        weight_decay(static_cast<T>(params.weight_decay)),
        keep(static_cast<T>(1 - params.dampening)) {}
};

template <class T>
void step_plain(const Coefficients<T>& k, std::int64_t n, T* __restrict param, const T* __restrict grad) {
  for (std::int64_t i = 0; i < n; ++i) param[i] -= k.lr * (grad[i] + k.weight_decay * param[i]);
}

template <bool first, bool nesterov, class T>
void step_momentum(const Coefficients<T>& k, std::int64_t n, T* __restrict param, const T* __restrict grad,
                   T* __restrict buffer) {
  for (std::int64_t i = 0; i < n; ++i) {
    const T g = grad[i] + k.weight_decay * param[i];
    const T moved = first ? g : k.momentum * buffer[i] + k.keep * g;
    buffer[i] = moved;
    param[i] -= k.lr * (nesterov ? g + k.momentum * moved : moved);
  }
}

template <class T>
void step_range(const SgdEntry& entry, double lr, const SgdParams& params, std::int64_t begin,
                std::int64_t end) {
  const Coefficients<T> k(lr, params);
  Tensor param_handle = entry.param;
  Tensor buffer_handle = entry.momentum_buffer;
  T* param = param_handle.data<T>() + begin;
  const T* grad = entry.grad.data<T>() + begin;
  if (params.momentum == 0) return step_plain(k, end - begin, param, grad);
  T* buffer = buffer_handle.data<T>() + begin;
  const auto run = entry.first_step
                       ? (params.nesterov ? step_momentum<true, true, T> : step_momentum<true, false, T>)
                       : (params.nesterov ? step_momentum<false, true, T> : step_momentum<false, false, T>);
  run(k, end - begin, param, grad, buffer);
}

}  // namespace

void sgd_update(std::span<const SgdEntry> entries, const Tensor& lr, const SgdParams& params) {
  check_sgd_params(params);
  check(lr.defined() && lr.numel() == 1, "sgd_update: lr is {}, expected one number", lr.str());
  std::vector<std::int64_t> sizes;
  for (const auto& entry : entries) {
    check_entry(entry, params);
    dispatch_float(entry.param.dtype(), "sgd_update", []<class T>() {});
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

}  // namespace cpu

}  // namespace dcl::tensor
