#include "tensor/ops/sgd_update_kernels.h"

#include "tensor/cpu/vector_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tensor/ops/sgd_update_kernels.cpp"
#include <hwy/foreach_target.h>
// foreach_target.h comes first: it includes this file again for every instruction set.
#include <hwy/highway.h>

// The loops are the compiler's to vectorise: the step itself is shared with the GPU.
HWY_BEFORE_NAMESPACE();
namespace dcl::tensor::cpu {
namespace HWY_NAMESPACE {
namespace {  // several files have kernels of these names

template <class T>
void step_plain(const SgdStep<T>& step, std::int64_t n, T* __restrict param, const T* __restrict grad) {
  for (std::int64_t i = 0; i < n; ++i) step.plain(param[i], grad[i]);
}

template <class T, bool first, bool nesterov>
void step_momentum(const SgdStep<T>& step, std::int64_t n, T* __restrict param, const T* __restrict grad,
                   T* __restrict buffer) {
  for (std::int64_t i = 0; i < n; ++i)
    step.template with_momentum<first, nesterov>(param[i], grad[i], buffer[i]);
}

template <class T>
const SgdKernels<T>& describe() {
  static const SgdKernels<T> kernels{
      .plain = &step_plain<T>,
      .momentum = {{&step_momentum<T, false, false>, &step_momentum<T, false, true>},
                   {&step_momentum<T, true, false>, &step_momentum<T, true, true>}}};
  return kernels;
}

const SgdKernels<float>& describe_float() { return describe<float>(); }
const SgdKernels<double>& describe_double() { return describe<double>(); }

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace dcl::tensor::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace dcl::tensor::cpu {

DCL_VECTOR_DISPATCH(describe_float, template <> const SgdKernels<float>& sgd_kernels<float>())
DCL_VECTOR_DISPATCH(describe_double, template <> const SgdKernels<double>& sgd_kernels<double>())

}  // namespace dcl::tensor::cpu
#endif  // HWY_ONCE
