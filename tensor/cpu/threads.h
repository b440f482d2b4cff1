// The threads that share an op's work.
#pragma once

#include <cstdint>
#include <functional>

namespace dcl::tensor::cpu {

/// Threads an op may use, the caller included. At first the number of processors this process may run on.
int num_threads();
/// Throws when `count` < 1. Not to be called while an op runs.
void set_num_threads(int count);

/// Cuts [0, n) into at most num_threads() ranges of at least `grain`, runs `body(begin, end)` on each, one on
/// the calling thread, and returns when all are done. Throws the first exception again, and Error where the
/// threads cannot be started. A call from inside another one, or while another thread's is running, runs on
/// the calling thread alone. The ranges depend on n, grain and num_threads() only, and so do the bits.
void parallel_for(std::int64_t n, std::int64_t grain,
                  const std::function<void(std::int64_t begin, std::int64_t end)>& body);

/// Runs `body(part)` for part = 0 … parts-1; part p always sees the same work, whatever the number of
/// threads: for reductions whose bits must not depend on it. Each thread takes consecutive parts.
void parallel_parts(int parts, const std::function<void(int part)>& body);

}  // namespace dcl::tensor::cpu
