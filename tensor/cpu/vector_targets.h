// Kernels that are compiled once for each instruction set and chosen at run time (Google Highway).
//
// Such a file includes this header, defines HWY_TARGET_INCLUDE as itself, includes hwy/foreach_target.h, puts
// its kernels into HWY_NAMESPACE, and ends with a DCL_VECTOR_DISPATCH for each of them inside #if HWY_ONCE.
#pragma once

// Three are enough: AVX-512, AVX2, and for an x86-64 with neither plain C++, which Highway always has (the
// name is then SCALAR or EMU128, never SSE's). The others (those below AVX3 are its extensions) would be
// compiled for nothing.
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SSE4 | (HWY_AVX3 - 1))

// Defines the function `declaration`: it returns what `chosen`, a function of HWY_NAMESPACE, returns for the
// best instruction set that this machine has and cpu_level() (or a test) allows.
#define DCL_VECTOR_DISPATCH(chosen, declaration)                   \
  namespace {                                                      \
  HWY_EXPORT(chosen);                                              \
  }                                                                \
  declaration { /* NOLINT(bugprone-macro-parentheses): no value */ \
    ::dcl::tensor::cpu::limit_vector_targets();                    \
    return HWY_DYNAMIC_DISPATCH(chosen)();                         \
  }

// Before a loop that reads and writes the same memory, but at the same places: no step waits for another.
#ifdef __clang__
#define DCL_SAME_PLACES
#else
#define DCL_SAME_PLACES _Pragma("GCC ivdep")
#endif

namespace dcl::tensor::cpu {

/// Once: takes from Highway's choice what cpu_level() does not allow.
void limit_vector_targets();

}  // namespace dcl::tensor::cpu
