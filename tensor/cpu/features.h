// What the processor can do and which code paths that chose, for logs and benchmarks; and the switch to the
// plain paths.
#pragma once

#include <string>

namespace dcl::tensor::cpu {

/// The instruction sets that matter here, as the processor and the operating system offer them:
/// "avx2 fma avx512f avx512_bf16 amx_tile"; "baseline" when there are none of them.
std::string processor_features();

/// One line about the kernels in use: "convolutions: packed 14x32 tiles (AVX3); products: OpenBLAS
/// Cooperlake; bfloat16: AMX".
std::string chosen_paths();

/// False when ops shall take their plain paths (tensor/ops/*_cpu.cpp), the reference for the fast ones. At
/// first true, unless the environment variable DCL_CPU_PATH is "plain"; any other value but "fast" throws.
bool fast_paths();
/// Not to be called while an op runs.
void set_fast_paths(bool enabled);

}  // namespace dcl::tensor::cpu
