#include "tensor/cpu/vector_targets.h"

#include <hwy/targets.h>

#include "tensor/cpu/features.h"

namespace dcl::tensor::cpu {

namespace {

// Highway's bits are the lower, the better the instruction set; the two plain ones are never taken away.
constexpr std::int64_t kPlain = HWY_SCALAR | HWY_EMU128;
constexpr std::int64_t kAboveAvx2 = HWY_AVX2 - 1;

}  // namespace

// DisableTargets leaves the choice to the next dispatch. It must not be followed by a plain call of
// hwy::SupportedTargets(): that of Highway 1.0.3 stores a choice in which nothing is disabled.
void limit_vector_targets() {
  static const bool done = [] {
    const CpuLevel level = cpu_level();
    if (level == CpuLevel::baseline) hwy::DisableTargets(~kPlain);
    if (level == CpuLevel::avx2) hwy::DisableTargets(kAboveAvx2);
    return true;
  }();
  static_cast<void>(done);
}

}  // namespace dcl::tensor::cpu
