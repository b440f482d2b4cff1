// All parameters in one launch a hundred. SGD and EMA stay two kernels: the EMA runs before the keys of the
// same step, SGD after its backward pass, and copies in bfloat16 are made when a parameter is next used. Of
// float32, SGD moves 20 bytes a number and EMA 12: together 1.04 GB for DenseCL's 32.4 M, 241 µs at 4.3 TB/s,
// as one kernel would.
#include <vector>

#include "tensor/cuda/sweep.h"
#include "tensor/ops/sgd_update.h"
#include "tensor/ops/sgd_update_step.h"

namespace dcl::tensor::cuda {

namespace {

// The learning rate, which lives on the device: one of the two.
struct Rate {
  const float* in_float;
  const double* in_double;

  explicit Rate(const Tensor& lr)
      : in_float(lr.dtype() == DType::float32 ? lr.data<float>() : nullptr),
        in_double(in_float ? nullptr : lr.data<double>()) {}
};

template <class T>
struct Sgd {
  SgdStep<T> step;
  Rate rate;

  Sgd(const SgdParams& params, const Tensor& lr) : step(0, params), rate(lr) {}
  __device__ void begin() {
    step.lr = rate.in_float ? static_cast<T>(*rate.in_float) : static_cast<T>(*rate.in_double);
  }
};

// Of param, grad.
template <class T>
struct Plain : Sgd<T> {
  static constexpr int kWritten = 1;
  using Sgd<T>::Sgd;
  __device__ static constexpr bool reads(int /*array*/) { return true; }
  __device__ void operator()(T (&values)[2]) const { this->step.plain(values[0], values[1]); }
};

// Of param, momentum_buffer, grad.
template <class T, bool first>
struct WithMomentum : Sgd<T> {
  static constexpr int kWritten = 2;
  bool nesterov;

  WithMomentum(const SgdParams& params, const Tensor& lr) : Sgd<T>(params, lr), nesterov(params.nesterov) {}
  __device__ static constexpr bool reads(int array) { return array != 1 || !first; }
  __device__ void operator()(T (&values)[3]) const {
    auto& [param, buffer, grad] = values;
    if (nesterov)
      this->step.template with_momentum<first, true>(param, grad, buffer);
    else
      this->step.template with_momentum<first, false>(param, grad, buffer);
  }
};

// Those of the entries that are of type T.
template <class T>
void update(std::span<const SgdEntry> entries, const Tensor& lr, const SgdParams& params) {
  std::vector<SweepEntry<T, 2>> plain;
  std::vector<SweepEntry<T, 3>> first;
  std::vector<SweepEntry<T, 3>> later;
  for (auto [param, grad, momentum_buffer, first_step] : entries) {  // handles, so that data() may be changed
    if (param.dtype() != dtype_of<T>) continue;
    if (params.momentum == 0)
      plain.push_back({{param.template data<T>(), grad.template data<T>()}, param.numel()});
    else
      (first_step ? first : later)
          .push_back({{param.template data<T>(), momentum_buffer.template data<T>(), grad.template data<T>()},
                      param.numel()});
  }
  sweep<T, 2>("sgd_update", plain, Plain<T>(params, lr));
  sweep<T, 3>("sgd_update", first, WithMomentum<T, true>(params, lr));
  sweep<T, 3>("sgd_update", later, WithMomentum<T, false>(params, lr));
}

}  // namespace

void sgd_update(std::span<const SgdEntry> entries, const Tensor& lr, const SgdParams& params) {
  check_sgd_update(entries, lr, params);
  if (lr.dtype() != DType::float64) check_dtype("sgd_update", "lr", lr, DType::float32);
  for (const auto& entry : entries)
    count_work({0, 2 * bytes_of({&entry.param, &entry.momentum_buffer}) + bytes_of({&entry.grad})});
  update<float>(entries, lr, params);
  update<double>(entries, lr, params);
}

}  // namespace dcl::tensor::cuda
