// Memory of a tensor: a block from the device's allocator, given back when the last tensor lets go of it.
#pragma once

#include <cstdint>
#include <memory>

#include "tensor/device.h"

namespace dcl::tensor {

/// Bytes handed out (`live`), kept for reuse (`cached`), and the largest `live` so far (`peak`).
struct MemoryStats {
  std::int64_t live = 0;
  std::int64_t cached = 0;
  std::int64_t peak = 0;
};

/// A training step frees and asks for the same sizes each time, so freed blocks are kept and handed out
/// again. With the environment variable DCL_ALLOCATOR=plain every block goes straight to the system, so that
/// sanitizers see stale reads (the default is caching; anything else is refused). All functions may be called
/// from any thread.
class Allocator {
 public:
  virtual ~Allocator() = default;
  /// A block of at least `bytes` bytes, aligned to 64; contents undefined. Throws Error when there is none.
  virtual void* allocate(std::int64_t bytes) = 0;
  virtual void release(void* block, std::int64_t bytes) = 0;
  /// Gives the cached blocks back to the system.
  virtual void release_cached() = 0;
  virtual MemoryStats stats() const = 0;
};

/// From then on new blocks of every device are full of bits 1 (NaN, -1): tests see what an op left unwritten.
void poison_new_blocks(bool enabled);

/// Whether DCL_ALLOCATOR says plain. Throws for what is neither plain nor caching.
bool allocates_plainly();

/// The allocator of a device. Throws for CUDA in a build without it, and where the GPU cannot be used.
Allocator& allocator(Device device);

class Storage {
 public:
  Storage(std::int64_t bytes, Device device);
  ~Storage();
  Storage(const Storage&) = delete;
  Storage& operator=(const Storage&) = delete;

  void* data() const { return data_; }
  std::int64_t bytes() const { return bytes_; }
  Device device() const { return device_; }

 private:
  void* data_ = nullptr;
  std::int64_t bytes_ = 0;
  Device device_;
};

}  // namespace dcl::tensor
