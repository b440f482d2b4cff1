// Memory on a GPU: allocator({DeviceType::cuda, i}) of tensor/storage.h. Blocks are used in the order of the
// device's one stream, so one that was given back is handed out again at once, without events.
// DCL_ALLOCATOR=plain asks CUDA for each block, so that compute-sanitizer sees what is read too late.
#pragma once

#include "tensor/storage.h"

namespace dcl::tensor::cuda {

/// Blocks of their own for what is asked of the device between capture and replay of a graph: nobody else
/// gets them while the pool lives, though they are used again within it. Blocks that outlive it stay what
/// they are.
class MemoryPool {
 public:
  explicit MemoryPool(int device);
  ~MemoryPool();
  MemoryPool(MemoryPool&& other) noexcept;
  MemoryPool& operator=(MemoryPool&&) = delete;

  /// While it lives, the device's allocator takes from `pool`; one at a time, for all threads.
  class Use {
   public:
    explicit Use(MemoryPool& pool);
    ~Use();
    Use(const Use&) = delete;
    Use& operator=(const Use&) = delete;

   private:
    int device_;
  };

 private:
  int device_;
  int number_;  // -1: moved from
};

}  // namespace dcl::tensor::cuda
