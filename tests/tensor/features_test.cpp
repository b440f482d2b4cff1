// These also run with DCL_CPU_FEATURES set (tests/CMakeLists.txt).
#include "tensor/cpu/features.h"

#include <gtest/gtest.h>

#include "tensor/cpu/gemm.h"
#include "tensor/cpu/microkernel.h"
#include "tests/support/vector_targets.h"

namespace dcl::tensor::cpu {
namespace {

TEST(Features, AreNamed) {
  EXPECT_FALSE(processor_features().empty());
  const bool before = fast_paths();
  set_fast_paths(true);
  EXPECT_NE(chosen_paths().find("packed"), std::string::npos) << chosen_paths();
  EXPECT_NE(chosen_paths().find(gemm_library()), std::string::npos) << chosen_paths();
  set_fast_paths(false);
  EXPECT_NE(chosen_paths().find("plain"), std::string::npos) << chosen_paths();
  set_fast_paths(before);
}

TEST(Features, KernelsAreTheBestThatTheLevelAllows) {
  EXPECT_TRUE(test::is_best_allowed(microkernel<float>().target)) << microkernel<float>().target;
  EXPECT_TRUE(test::is_best_allowed(microkernel<double>().target)) << microkernel<double>().target;
}

TEST(Features, NamesAreThoseThatTheLevelAllows) {
  const auto named = [](const char* name) { return processor_features().find(name) != std::string::npos; };
  EXPECT_EQ(named("avx2 fma"), cpu_level() >= CpuLevel::avx2) << processor_features();
  EXPECT_EQ(named("avx512f"), cpu_level() >= CpuLevel::avx512) << processor_features();
  EXPECT_EQ(named("amx_tile"), cpu_level() >= CpuLevel::amx) << processor_features();
}

TEST(Features, LimitIsKept) {
  const char* limit = std::getenv("DCL_CPU_FEATURES");
  if (limit == nullptr) GTEST_SKIP() << "DCL_CPU_FEATURES is not set";
  for (const auto& [name, level] : {std::pair("baseline", CpuLevel::baseline),
                                    {"avx2", CpuLevel::avx2},
                                    {"avx512", CpuLevel::avx512},
                                    {"amx", CpuLevel::amx}})
    if (std::string(name) == limit) {
      EXPECT_LE(cpu_level(), level);
    }
}

}  // namespace
}  // namespace dcl::tensor::cpu
