#include "tensor/ops/ema_update_kernels.h"

#include "tensor/cpu/vector_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tensor/ops/ema_update_kernels.cpp"
#include <hwy/foreach_target.h>
// foreach_target.h comes first: it includes this file again for every instruction set.
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace dcl::tensor::cpu {
namespace HWY_NAMESPACE {
namespace {  // several files have kernels of these names

// The compiler's to vectorise.
template <class T>
void follow(std::int64_t n, double m, T* __restrict target, const T* __restrict source) {
  const T keep = static_cast<T>(m);
  const T take = static_cast<T>(1 - m);
  for (std::int64_t i = 0; i < n; ++i) target[i] = keep * target[i] + take * source[i];
}

FollowSource<float> follow_float() { return follow<float>; }
FollowSource<double> follow_double() { return follow<double>; }

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace dcl::tensor::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace dcl::tensor::cpu {

DCL_VECTOR_DISPATCH(follow_float, template <> FollowSource<float> follow_source<float>())
DCL_VECTOR_DISPATCH(follow_double, template <> FollowSource<double> follow_source<double>())

}  // namespace dcl::tensor::cpu
#endif  // HWY_ONCE
