#include "apps/support/version.h"

#include <fmt/core.h>

#include "dcl_build_info.h"  // made at each build: the commit may have moved
#include "tensor/cpu/features.h"

namespace dcl::apps {

std::string version_text(const std::string& program) {
  return fmt::format("{} {}\ncommit: {}\ncompiler: {}\nBLAS: {}\nCUDA: {}\nCPU paths: {}\n", program,
                     DCL_BUILD_VERSION, DCL_BUILD_COMMIT, DCL_BUILD_COMPILER, DCL_BUILD_BLAS, DCL_BUILD_CUDA,
                     tensor::cpu::chosen_paths());
}

}  // namespace dcl::apps
