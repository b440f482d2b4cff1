// Short pieces of memory, copied without a call for each: the rows of a window in a picture of few channels.
#pragma once

#include <cstdint>

namespace dcl::tensor::cpu {

/// Copies `runs` pieces of `bytes` each, which begin `pitch` bytes apart, to `out` without gaps. Reads and
/// writes nothing else.
using CopyRuns = void (*)(const void* source, std::int64_t pitch, std::int64_t runs, std::int64_t bytes,
                          void* out);

/// For this processor.
CopyRuns copy_runs();

}  // namespace dcl::tensor::cpu
