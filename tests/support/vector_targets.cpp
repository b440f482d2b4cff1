#include "tests/support/vector_targets.h"

#include <hwy/targets.h>

#include "tensor/cpu/features.h"

namespace dcl::test {

namespace {

struct OwnChoiceAgain {
  OwnChoiceAgain() = default;
  ~OwnChoiceAgain() { hwy::SetSupportedTargetsForTest(0); }
  OwnChoiceAgain(const OwnChoiceAgain&) = delete;
  OwnChoiceAgain& operator=(const OwnChoiceAgain&) = delete;
};

}  // namespace

int on_every_vector_target(const std::function<std::string()>& chosen,
                           const std::function<void(const std::string& target)>& body) {
  const OwnChoiceAgain at_end;
  int targets = 0;
  // The last two are plain C++; which of them there is depends on the compiler.
  for (const std::int64_t target : {HWY_AVX3, HWY_AVX2, HWY_SSE4, HWY_EMU128, HWY_SCALAR}) {
    hwy::SetSupportedTargetsForTest(0);
    const bool plain = target == HWY_EMU128 || target == HWY_SCALAR;
    if (!plain && (hwy::SupportedTargets() & target) == 0) continue;
    hwy::SetSupportedTargetsForTest(target);
    if (chosen() != hwy::TargetName(target)) continue;
    ++targets;
    body(hwy::TargetName(target));
  }
  return targets;
}

bool avx2_is_allowed() { return tensor::cpu::cpu_level() >= tensor::cpu::CpuLevel::avx2; }

bool is_best_allowed(const std::string& target) {
  const auto level = tensor::cpu::cpu_level();
  if (level == tensor::cpu::CpuLevel::baseline) return !target.starts_with("AVX");
  return target == (level == tensor::cpu::CpuLevel::avx2 ? "AVX2" : "AVX3");
}

}  // namespace dcl::test
