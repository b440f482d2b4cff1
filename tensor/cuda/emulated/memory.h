// Memory of the emulated device: host memory that is closed to all but its stream.
#pragma once

#include <deque>
#include <map>
#include <mutex>

#include "tensor/storage.h"

namespace dcl::tensor::cuda::emulated {

/// First fit in one range of addresses. Blocks of pool 0 are everybody's, those of another the graph's that
/// made it.
class Memory final : public Allocator {
 public:
  static constexpr std::int64_t kBytes = std::int64_t{8}
                                         << 30;  // of addresses; pages come when they are used

  Memory();
  void* allocate(std::int64_t bytes) override;
  void release(void* block, std::int64_t bytes) override;
  void release_cached() override {}
  MemoryStats stats() const override;

  /// Open to reads and writes by the calling thread until it has called close() as often as open(). Where the
  /// processor has no protection keys it is always open.
  void open() const;
  void close() const;

  std::size_t add_pool();
  void use_pool(std::size_t pool);
  /// What is free in it, and what is given back from now on, is everybody's.
  void let_go_of_pool(std::size_t pool);

 private:
  using Free = std::map<std::int64_t, std::int64_t>;  // offset, bytes

  void* take(Free& free, std::int64_t size);

  mutable std::mutex mutex_;
  std::byte* begin_ = nullptr;
  std::deque<Free> free_{1};                   // of each pool
  std::map<std::int64_t, std::size_t> owner_;  // offset of a block in use, its pool
  std::size_t used_ = 0;
  MemoryStats stats_;
  int key_ = -1;  // of protection
};

Memory& memory();

}  // namespace dcl::tensor::cuda::emulated
