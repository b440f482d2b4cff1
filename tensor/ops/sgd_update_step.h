// sgd_update's formula for one number: the same lines on the host and on the device.
#pragma once

#include "tensor/host_device.h"
#include "tensor/ops/sgd_update.h"

namespace dcl::tensor {

template <class T>
struct SgdStep {
  T lr;
  T momentum;
  T weight_decay;
  T keep;  // 1 − dampening

  SgdStep(double rate, const SgdParams& params)
      : lr(static_cast<T>(rate)),
        momentum(static_cast<T>(params.momentum)),
        weight_decay(static_cast<T>(params.weight_decay)),
        keep(static_cast<T>(1 - params.dampening)) {}

  DCL_HOST_DEVICE void plain(T& param, T grad) const { param -= lr * (grad + weight_decay * param); }

  /// At the first step `buffer` is only written.
  template <bool first, bool nesterov>
  DCL_HOST_DEVICE void with_momentum(T& param, T grad, T& buffer) const {
    const T g = grad + weight_decay * param;
    const T moved = first ? g : momentum * buffer + keep * g;
    buffer = moved;
    param -= lr * (nesterov ? g + momentum * moved : moved);
  }
};

}  // namespace dcl::tensor
