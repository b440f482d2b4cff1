// The same test on every instruction set that kernels are compiled for, this processor has and
// DCL_CPU_FEATURES leaves.
#pragma once

#include <functional>
#include <string>

namespace dcl::test {

/// Calls `body` with the name of each ("AVX3", "AVX2", …, "SCALAR"), the best one first, while that one is
/// what the kernels under test run on: `chosen` gives the name of theirs, and what they are not compiled for
/// is left out. Then the choice is the processor's again. Returns how many there were.
int on_every_vector_target(const std::function<std::string()>& chosen,
                           const std::function<void(const std::string& target)>& body);

/// Where this holds, all vector kernels of this house have at least two instruction sets to choose from.
bool avx2_is_allowed();

/// Is it that of AVX-512 or of AVX2 where that is the best that tensor::cpu::cpu_level() allows; where it
/// allows neither, is it another?
bool is_best_allowed(const std::string& target);

}  // namespace dcl::test
