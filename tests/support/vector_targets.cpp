#include "tests/support/vector_targets.h"

#include <hwy/targets.h>

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

bool machine_has_avx2() { return (hwy::SupportedTargets() & HWY_AVX2) != 0; }

}  // namespace dcl::test
