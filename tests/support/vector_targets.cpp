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

int on_every_vector_target(const std::function<void(const std::string& target)>& body) {
  const OwnChoiceAgain at_end;
  int targets = 0;
  for (const std::int64_t target : {HWY_AVX3, HWY_AVX2, HWY_SSE4, HWY_SCALAR}) {
    hwy::SetSupportedTargetsForTest(0);
    if ((hwy::SupportedTargets() & target) == 0) continue;
    hwy::SetSupportedTargetsForTest(target);
    ++targets;
    body(hwy::TargetName(target));
  }
  return targets;
}

}  // namespace dcl::test
