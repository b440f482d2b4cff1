// A long computation can be left between two ops.
#pragma once

#include <exception>
#include <functional>

namespace dcl::tensor {

/// Thrown out of an op that did not begin. No Error: nothing is wrong, and nobody should report it as such.
class Interrupted final : public std::exception {
 public:
  const char* what() const noexcept override { return "interrupted"; }
};

/// While it lives, every op that is about to begin on this thread asks `wanted` first, and throws Interrupted
/// where that says true. What was computed until then stays as it is: whoever opens the scope knows how to
/// take it back. An inner scope replaces the outer one; an empty function asks nothing.
class InterruptScope {
 public:
  explicit InterruptScope(std::function<bool()> wanted);
  ~InterruptScope();
  InterruptScope(const InterruptScope&) = delete;
  InterruptScope& operator=(const InterruptScope&) = delete;

 private:
  friend void interruption_point();

  std::function<bool()> wanted_;
  InterruptScope* outer_;
};

/// Called where an op is dispatched (tensor/device.h).
void interruption_point();

}  // namespace dcl::tensor
