// What the processor can do, how much of it kernels may use, and which code paths that chose, for logs and
// benchmarks; and the switch to the plain paths.
#pragma once

#include <cstdint>
#include <string>

namespace dcl::tensor::cpu {

/// Steps of instruction sets, each with all before it: every x86-64 (SSE2; any other architecture is here
/// too), x86-64-v3 (AVX2, FMA), x86-64-v4 (AVX-512 F, BW, CD, DQ, VL), and tiles of bfloat16.
enum class CpuLevel { baseline, avx2, avx512, amx };

/// The highest step that kernels and matrix products may use: the processor's, or the one that the
/// environment variable DCL_CPU_FEATURES names ("baseline", "avx2", "avx512", "amx") where that is lower. It
/// is a limit: one above the processor's changes nothing, what runs is chosen_paths(). Read once; any other
/// name throws. (Libraries that decode pictures choose by themselves; their pixels are the same on all of
/// them.)
CpuLevel cpu_level();

/// The instruction sets that matter here, as the processor and the operating system offer them and
/// cpu_level() leaves them: "avx2 fma avx512f avx512_bf16 amx_tile"; "baseline" when there are none of them;
/// where DCL_CPU_FEATURES took some away, with that: "avx2 fma (DCL_CPU_FEATURES=avx2)".
std::string processor_features();

/// One line about the kernels in use: "convolutions: packed 14x32 tiles (AVX3); products: OpenBLAS
/// Cooperlake; bfloat16: AMX".
std::string chosen_paths();

/// True where the processor has AVX-512's bfloat16 instructions and cpu_level() allows AVX-512.
bool avx512_bf16_allowed();

/// Bytes of a core's second-level cache, at least 512 KiB and at most 2 MiB; 1 MiB where the system does not
/// say. What operands are cut to.
std::int64_t second_level_cache();

/// False when ops shall take their plain paths (tensor/ops/*_cpu.cpp), the reference for the fast ones. At
/// first true, unless the environment variable DCL_CPU_PATH is "plain"; any other value but "fast" throws.
bool fast_paths();
/// Not to be called while an op runs.
void set_fast_paths(bool enabled);

/// Until the end of its scope. Likewise.
class FastPathsScope {
 public:
  explicit FastPathsScope(bool enabled) : before_(fast_paths()) { set_fast_paths(enabled); }
  ~FastPathsScope() { set_fast_paths(before_); }
  FastPathsScope(const FastPathsScope&) = delete;
  FastPathsScope& operator=(const FastPathsScope&) = delete;

 private:
  bool before_;
};

/// Throws where DCL_CPU_FEATURES or DCL_CPU_PATH has a value that is not one of theirs: for programs, so that
/// they say it before they begin.
void check_cpu_environment();

}  // namespace dcl::tensor::cpu
