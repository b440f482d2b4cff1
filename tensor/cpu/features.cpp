#include "tensor/cpu/features.h"

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <string_view>

#include <unistd.h>

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

struct LevelName {
  CpuLevel level;
  std::string_view name;
};
constexpr LevelName kLevels[] = {{CpuLevel::baseline, "baseline"},
                                 {CpuLevel::avx2, "avx2"},
                                 {CpuLevel::avx512, "avx512"},
                                 {CpuLevel::amx, "amx"}};

#if defined(__x86_64__)
// AMX has no name in __builtin_cpu_supports of GCC 12, so it is asked from leaf 7: EDX bits 22 (bf16) and 24.
bool has_leaf7_edx(unsigned bit) {
  unsigned a = 0;
  unsigned b = 0;
  unsigned c = 0;
  unsigned d = 0;
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && ((d >> bit) & 1U) != 0;
}

CpuLevel processor_level() {
  if (__builtin_cpu_supports("x86-64-v3") == 0) return CpuLevel::baseline;
  if (__builtin_cpu_supports("x86-64-v4") == 0) return CpuLevel::avx2;
  return has_leaf7_edx(24) && has_leaf7_edx(22) ? CpuLevel::amx : CpuLevel::avx512;
}
#else
CpuLevel processor_level() { return CpuLevel::baseline; }
#endif

CpuLevel level_at_start() {
  const char* limit = std::getenv("DCL_CPU_FEATURES");
  if (limit == nullptr) return processor_level();
  std::string expected;
  for (const auto& [level, name] : kLevels) {
    if (name == limit) return std::min(level, processor_level());
    expected += fmt::format("{}\"{}\"", expected.empty() ? "" : ", ", name);
  }
  fail("DCL_CPU_FEATURES is \"{}\", expected one of {}", limit, expected);
}

}  // namespace

CpuLevel cpu_level() {
  static const CpuLevel level = level_at_start();
  return level;
}

std::string processor_features() {
  std::string names;
  bool limited = false;
#if defined(__x86_64__)
  const auto add = [&](bool present, CpuLevel level, std::string_view name) {
    limited = limited || (present && level > cpu_level());
    if (!present || level > cpu_level()) return;
    if (!names.empty()) names += ' ';
    names += name;
  };
  add(__builtin_cpu_supports("avx2") != 0, CpuLevel::avx2, "avx2");
  add(__builtin_cpu_supports("fma") != 0, CpuLevel::avx2, "fma");
  add(__builtin_cpu_supports("avx512f") != 0, CpuLevel::avx512, "avx512f");
  add(__builtin_cpu_supports("avx512vnni") != 0, CpuLevel::avx512, "avx512_vnni");
  add(__builtin_cpu_supports("avx512bf16") != 0, CpuLevel::avx512, "avx512_bf16");
  add(has_leaf7_edx(24), CpuLevel::amx, "amx_tile");
  add(has_leaf7_edx(22), CpuLevel::amx, "amx_bf16");
#endif
  if (names.empty()) names = "baseline";
  if (limited)
    names += fmt::format(" (DCL_CPU_FEATURES={})", kLevels[static_cast<std::size_t>(cpu_level())].name);
  return names;
}

std::string chosen_paths() {
  const auto& kernel = microkernel<float>();
  const std::string convolutions =
      fast_paths() ? fmt::format("packed {}x{} tiles ({})", kernel.rows, kernel.cols, kernel.target)
                   : "plain";
  return fmt::format("convolutions: {}; products: {}; bfloat16: {}", convolutions, gemm_library(),
                     tile_kernel().name);
}

std::int64_t second_level_cache() {
  static const std::int64_t bytes = [] {
    constexpr std::int64_t kKiB = 1024;
#if defined(_SC_LEVEL2_CACHE_SIZE)
    const std::int64_t said = ::sysconf(_SC_LEVEL2_CACHE_SIZE);
#else
    const std::int64_t said = 0;
#endif
    return said <= 0 ? 1024 * kKiB : std::clamp(said, 512 * kKiB, 2048 * kKiB);
  }();
  return bytes;
}

bool fast_paths() { return fast_paths_flag().load(std::memory_order_relaxed); }
void set_fast_paths(bool enabled) { fast_paths_flag().store(enabled); }

void check_cpu_environment() {
  static_cast<void>(cpu_level());
  static_cast<void>(fast_paths());
}

}  // namespace dcl::tensor::cpu
