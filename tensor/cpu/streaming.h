// Results that leave the caches before anybody reads them are written past them: an ordinary store to memory
// first reads the line that it overwrites.
#pragma once

#include <cstdint>

namespace dcl::tensor::cpu {

/// True for results of so many bytes (measured: with two threads on a Xeon whose guests share the last cache,
/// stores to 400 MB go at 11 GB/s, streaming ones at 36; a training step has ever new lines to write, so that
/// results of a tenth of that size gain too).
constexpr bool pays_to_stream(std::int64_t bytes) { return bytes >= std::int64_t{8} << 20; }

/// True where `row` may be written in whole lines.
inline bool begins_line(const void* row) { return reinterpret_cast<std::uintptr_t>(row) % 64 == 0; }

}  // namespace dcl::tensor::cpu
