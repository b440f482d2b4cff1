// Small results that are written past the caches as large ones are.
#pragma once

#include <cstdint>

#include "tensor/cpu/streaming.h"

namespace dcl::test {

/// Results of so many bytes are streamed until the end of its scope.
class StreamedFrom {
 public:
  explicit StreamedFrom(std::int64_t bytes) { tensor::cpu::stream_from(bytes); }
  ~StreamedFrom() { tensor::cpu::stream_from(tensor::cpu::kStreamedFrom); }
  StreamedFrom(const StreamedFrom&) = delete;
  StreamedFrom& operator=(const StreamedFrom&) = delete;
};

}  // namespace dcl::test
