#include "tensor/cpu/streaming.h"

#include <atomic>

#include <hwy/cache_control.h>

namespace dcl::tensor::cpu {
namespace {

std::atomic<std::int64_t>& threshold() {
  static std::atomic<std::int64_t> bytes{kStreamedFrom};
  return bytes;
}

}  // namespace

bool pays_to_stream(std::int64_t bytes) { return bytes >= threshold().load(std::memory_order_relaxed); }

void flush_streams() { hwy::FlushStream(); }

void stream_from(std::int64_t bytes) { threshold().store(bytes); }

}  // namespace dcl::tensor::cpu
