#include "tensor/interrupt.h"

#include <utility>

namespace dcl::tensor {

namespace {
thread_local InterruptScope* innermost = nullptr;
}

InterruptScope::InterruptScope(std::function<bool()> wanted)
    : wanted_(std::move(wanted)), outer_(std::exchange(innermost, this)) {}

InterruptScope::~InterruptScope() { innermost = outer_; }

void interruption_point() {
  if (innermost != nullptr && innermost->wanted_ && innermost->wanted_()) throw Interrupted();
}

}  // namespace dcl::tensor
