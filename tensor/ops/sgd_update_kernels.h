// SGD's step on a range of one parameter (sgd_update.h). Compiled for several instruction sets, of which the
// best one for this processor is chosen at run time; none of them contracts a product and a sum, so that the
// bits are the same.
#pragma once

#include <cstdint>

#include "tensor/ops/sgd_update_step.h"

namespace dcl::tensor::cpu {

template <class T>
struct SgdKernels {
  void (*plain)(const SgdStep<T>& step, std::int64_t n, T* param, const T* grad);
  /// [first step][Nesterov]
  void (*momentum[2][2])(const SgdStep<T>& step, std::int64_t n, T* param, const T* grad, T* buffer);
};

/// T is float or double.
template <class T>
const SgdKernels<T>& sgd_kernels();

}  // namespace dcl::tensor::cpu
