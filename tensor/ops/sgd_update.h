// One step of stochastic gradient descent with momentum for many parameters at once, in PyTorch's form
// (torch.optim.SGD), in one sweep over their memory:
//
//   g   = grad + weight_decay·param
//   buf = momentum·buf + (1 − dampening)·g         (at a parameter's first step: buf = g)
//   d   = g + momentum·buf  with Nesterov,  buf  without,  g  without momentum
//   param = param − lr·d
//
// (Sutskever et al., ICML 2013, except that lr multiplies the buffer when it is used, not when it is filled.)
#pragma once

#include <span>

#include "tensor/tensor.h"

namespace dcl::tensor {

struct SgdParams {
  double momentum = 0;
  double weight_decay = 0;
  double dampening = 0;
  bool nesterov = false;
};

/// One parameter: tensors of one shape and type, float32 or float64.
struct SgdEntry {
  Tensor param;             // changed
  Tensor grad;              // only read
  Tensor momentum_buffer;   // changed; undefined when momentum is 0
  bool first_step = false;  // the buffer holds nothing yet and becomes the gradient
};

/// Throws when a coefficient is negative or not finite, when Nesterov is asked for without momentum or with
/// dampening.
void check_sgd_params(const SgdParams& params);
/// What sgd_update checks, on both devices.
void check_sgd_update(std::span<const SgdEntry> entries, const Tensor& lr, const SgdParams& params);

namespace cpu {
/// `lr` has one element and lives where the parameters do. Throws as check_sgd_params, and when an entry's
/// tensors do not fit together; then nothing has been changed.
void sgd_update(std::span<const SgdEntry> entries, const Tensor& lr, const SgdParams& params);
}  // namespace cpu

namespace cuda {
/// `lr` is float32 or float64, read by the kernel.
void sgd_update(std::span<const SgdEntry> entries, const Tensor& lr, const SgdParams& params);
}  // namespace cuda

}  // namespace dcl::tensor
