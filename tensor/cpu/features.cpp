#include "tensor/cpu/features.h"

#include <atomic>
#include <cstdlib>
#include <string_view>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include "tensor/check.h"
#include "tensor/cpu/gemm.h"
#include "tensor/cpu/microkernel.h"
#include "tensor/cpu/tiles/tile_kernel.h"

namespace dcl::tensor::cpu {

namespace {

bool fast_paths_at_start() {
  const char* choice = std::getenv("DCL_CPU_PATH");
  if (choice == nullptr || std::string_view(choice) == "fast") return true;
  check(std::string_view(choice) == "plain", "DCL_CPU_PATH is \"{}\", expected \"fast\" or \"plain\"",
        choice);
  return false;
}

std::atomic<bool>& fast_paths_flag() {
  static std::atomic<bool> flag{fast_paths_at_start()};
  return flag;
}

#if defined(__x86_64__)
// AMX has no name in __builtin_cpu_supports of GCC 12, so it is asked from leaf 7: EDX bits 22 (bf16) and 24.
bool has_leaf7_edx(unsigned bit) {
  unsigned a = 0;
  unsigned b = 0;
  unsigned c = 0;
  unsigned d = 0;
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && ((d >> bit) & 1U) != 0;
}
#endif

}  // namespace

std::string processor_features() {
  std::string names;
#if defined(__x86_64__)
  const auto add = [&](bool present, std::string_view name) {
    if (!present) return;
    if (!names.empty()) names += ' ';
    names += name;
  };
  add(__builtin_cpu_supports("avx2") != 0, "avx2");
  add(__builtin_cpu_supports("fma") != 0, "fma");
  add(__builtin_cpu_supports("avx512f") != 0, "avx512f");
  add(__builtin_cpu_supports("avx512vnni") != 0, "avx512_vnni");
  add(__builtin_cpu_supports("avx512bf16") != 0, "avx512_bf16");
  add(has_leaf7_edx(24), "amx_tile");
  add(has_leaf7_edx(22), "amx_bf16");
#endif
  return names.empty() ? "baseline" : names;
}

std::string chosen_paths() {
  const auto& kernel = microkernel<float>();
  const std::string convolutions =
      fast_paths() ? fmt::format("packed {}x{} tiles ({})", kernel.rows, kernel.cols, kernel.target)
                   : "plain";
  return fmt::format("convolutions: {}; products: {}; bfloat16: {}", convolutions, gemm_library(),
                     tile_kernel().name);
}

bool fast_paths() { return fast_paths_flag().load(std::memory_order_relaxed); }
void set_fast_paths(bool enabled) { fast_paths_flag().store(enabled); }

}  // namespace dcl::tensor::cpu
