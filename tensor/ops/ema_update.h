// The momentum update of one network's parameters by another's (MoCo, eq. 2), in one sweep over many tensors:
//
//   target = m·target + (1 − m)·source
#pragma once

#include <span>

#include "tensor/tensor.h"

namespace dcl::tensor {

/// Tensors of one shape and type, float32 or float64.
struct EmaPair {
  Tensor target;  // changed
  Tensor source;  // only read
};

/// Throws unless 0 <= m <= 1 and each pair fits together.
void check_ema_update(std::span<const EmaPair> pairs, double m);

namespace cpu {
/// Throws as check_ema_update; then nothing has been changed.
void ema_update(std::span<const EmaPair> pairs, double m);
}  // namespace cpu

namespace cuda {
void ema_update(std::span<const EmaPair> pairs, double m);
}  // namespace cuda

}  // namespace dcl::tensor
