#include "tensor/ops/sgd_update.h"

#include <cmath>

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

}  // namespace

void check_sgd_update(std::span<const SgdEntry> entries, const Tensor& lr, const SgdParams& params) {
  check_sgd_params(params);
  check(lr.defined() && lr.numel() == 1, "sgd_update: lr is {}, expected one number", lr.str());
  for (const auto& entry : entries) {
    check_entry(entry, params);
    dispatch_float(entry.param.dtype(), "sgd_update", []<class T>() {});
    check(entry.param.device() == lr.device(), "sgd_update: lr is on {}, param on {}", lr.device().str(),
          entry.param.device().str());
  }
}

}  // namespace dcl::tensor
