// The same test on every instruction set that kernels are compiled for and this processor has.
#pragma once

#include <functional>
#include <string>

namespace dcl::test {

/// Calls `body` with the name of each ("AVX3", "AVX2", …, "SCALAR"), while that one is chosen by all kernels;
/// the best one first. Then the choice is the processor's again. Returns how many there were.
int on_every_vector_target(const std::function<void(const std::string& target)>& body);

}  // namespace dcl::test
