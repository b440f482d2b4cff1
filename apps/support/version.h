// What --version prints.
#pragma once

#include <string>

namespace dcl::apps {

/// Program, version, commit, compiler, BLAS and CUDA, a line each.
std::string version_text(const std::string& program);

}  // namespace dcl::apps
