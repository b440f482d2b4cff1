#include "tensor/storage.h"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <limits>
#include <map>
#include <mutex>
#include <new>
#include <string_view>

#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tensor/arena.h"
#include "tensor/cuda/backend.h"

namespace dcl::tensor {

namespace {

constexpr std::int64_t kAlignment = 64;
constexpr std::int64_t kHugePage = std::int64_t{2} << 20;
constexpr std::int64_t kArenaBytes = 2 * Arena::kGrain;  // so that rounding wastes less than a third
constexpr std::int64_t kMostBytes = std::numeric_limits<std::int64_t>::max() / 4;  // sums of a few fit

std::int64_t round_up(std::int64_t bytes, std::int64_t to) { return (bytes + to - 1) / to * to; }

// Large blocks start on huge pages: a ResNet's activations are tens of megabytes each, and 4 KiB pages cost a
// fault and a TLB entry apiece.
void* system_allocate(std::int64_t bytes) {
  check(bytes <= kMostBytes, "allocator: {} bytes of memory cannot be had", bytes);
  const bool large = bytes >= 2 * kHugePage;
  const std::int64_t alignment = large ? kHugePage : kAlignment;
  void* block =
      std::aligned_alloc(static_cast<std::size_t>(alignment),
                         static_cast<std::size_t>(round_up(std::max<std::int64_t>(bytes, 1), alignment)));
  check(block != nullptr, "allocator: {} bytes of memory cannot be had", bytes);
  if (large) ::madvise(block, static_cast<std::size_t>(bytes), MADV_HUGEPAGE);
  return block;
}

class PlainAllocator final : public Allocator {
 public:
  void* allocate(std::int64_t bytes) override {
    void* block = system_allocate(bytes);
    const std::scoped_lock lock(mutex_);
    stats_.live += bytes;
    stats_.peak = std::max(stats_.peak, stats_.live);
    return block;
  }
  void release(void* block, std::int64_t bytes) override {
    std::free(block);
    const std::scoped_lock lock(mutex_);
    stats_.live -= bytes;
  }
  void release_cached() override {}
  MemoryStats stats() const override {
    const std::scoped_lock lock(mutex_);
    return stats_;
  }

 private:
  mutable std::mutex mutex_;
  MemoryStats stats_;
};

// Addresses for all the memory that this machine has; none where addresses are rationed.
std::int64_t arena_capacity() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur != RLIM_INFINITY) return 0;
  return std::max<std::int64_t>(::sysconf(_SC_PHYS_PAGES), 0) * ::sysconf(_SC_PAGESIZE);
}

// Large blocks come from an arena; small ones, and large ones that it has no place for, from the system, and
// these keep their sizes.
class CachingAllocator final : public Allocator {
 public:
  ~CachingAllocator() override { free_all(); }

  void* allocate(std::int64_t bytes) override {
    check(bytes <= kMostBytes, "allocator: {} bytes of memory cannot be had", bytes);
    const std::int64_t size = rounded(bytes);
    const std::scoped_lock lock(mutex_);
    void* block = size >= kArenaBytes ? arena_.allocate(size) : nullptr;
    if (block != nullptr) {
      stats_.live += size;
      stats_.peak = std::max(stats_.peak, stats_.live);
      return block;
    }
    block = take_cached(size);
    if (block == nullptr) {
      trim(size);
      block = fresh(size);
    }
    stats_.live += sizes_.at(block);
    stats_.peak = std::max(stats_.peak, stats_.live);
    return block;
  }

  void release(void* block, std::int64_t bytes) override {
    const std::scoped_lock lock(mutex_);
    if (arena_.owns(block)) {
      stats_.live -= rounded(bytes);
      arena_.release(block, rounded(bytes));
      return;
    }
    const std::int64_t size = sizes_.at(block);
    stats_.live -= size;
    try {
      free_.emplace(size, block);
      stats_.cached += size;
    } catch (const std::bad_alloc&) {  // no memory even for the note that the block is free
      sizes_.erase(block);
      std::free(block);
    }
  }

  void release_cached() override {
    const std::scoped_lock lock(mutex_);
    arena_.release_cached();
    free_all();
  }

  MemoryStats stats() const override {
    const std::scoped_lock lock(mutex_);
    MemoryStats all = stats_;
    all.cached += arena_.cached();
    return all;
  }

 private:
  static std::int64_t rounded(std::int64_t bytes) {
    if (bytes >= kArenaBytes) return round_up(bytes, Arena::kGrain);
    return round_up(std::max<std::int64_t>(bytes, 1), bytes >= 4096 ? 4096 : kAlignment);
  }

  // Best fit, wasting at most an eighth of the block; null when there is none. The block remembers its own
  // size in `sizes_`.
  void* take_cached(std::int64_t size) {
    const auto found = free_.lower_bound(size);
    if (found == free_.end() || found->first - size > size / 8) return nullptr;
    void* block = found->second;
    stats_.cached -= found->first;
    free_.erase(found);
    return block;
  }

  // What is cached did not fit: lets the largest blocks go until `size` more stays within an eighth of the
  // most that was ever in use at once, so that the footprint is bounded and a step that repeats never gets
  // here.
  void trim(std::int64_t size) {
    const std::int64_t most = std::max(stats_.peak, stats_.live + size);
    while (!free_.empty() && stats_.live + stats_.cached + size > most + most / 8) {
      const auto largest = std::prev(free_.end());
      stats_.cached -= largest->first;
      sizes_.erase(largest->second);
      std::free(largest->second);
      free_.erase(largest);
    }
  }

  // A block from the system; when it has no more, what is cached goes back to it first.
  void* fresh(std::int64_t size) {
    void* block = nullptr;
    try {
      block = system_allocate(size);
    } catch (const Error&) {
      if (free_.empty()) throw;
      free_all();
      block = system_allocate(size);
    }
    sizes_[block] = size;
    return block;
  }

  void free_all() {
    for (const auto& [size, block] : free_) {
      sizes_.erase(block);
      std::free(block);
    }
    free_.clear();
    stats_.cached = 0;
  }

  mutable std::mutex mutex_;
  Arena arena_{arena_capacity()};
  std::multimap<std::int64_t, void*> free_;
  std::map<void*, std::int64_t> sizes_;
  MemoryStats stats_;
};

Allocator& cpu_allocator() {
  // Never destroyed: tensors with static storage duration may outlive any order of destruction.
  static Allocator* const instance = []() -> Allocator* {
    if (allocates_plainly()) return new PlainAllocator;
    return new CachingAllocator;
  }();
  return *instance;
}

std::atomic<bool>& poisons() {
  static std::atomic<bool> flag{false};
  return flag;
}

}  // namespace

bool allocates_plainly() {
  const char* set = std::getenv("DCL_ALLOCATOR");
  const std::string_view choice = set == nullptr ? "caching" : set;
  check(choice == "caching" || choice == "plain", "DCL_ALLOCATOR is '{}', expected caching or plain", choice);
  return choice == "plain";
}

Allocator& allocator(Device device) {
  if constexpr (has_cuda) {
    if (device.is_cuda()) return cuda::allocator(device.index);
  } else if (device.is_cuda()) {
    fail_without_cuda("allocator");
  }
  return cpu_allocator();
}

void poison_new_blocks(bool enabled) { poisons().store(enabled); }

Storage::Storage(std::int64_t bytes, Device device)
    : data_(allocator(device).allocate(bytes)), bytes_(bytes), device_(device) {
  if (!poisons().load(std::memory_order_relaxed)) return;
  if constexpr (has_cuda) {
    try {
      if (device.is_cuda()) cuda::poison(data_, bytes, device.index);
    } catch (...) {
      allocator(device).release(data_, bytes);
      throw;
    }
  }
  if (device.is_cpu()) std::memset(data_, 0xFF, static_cast<std::size_t>(bytes));
}

Storage::~Storage() { allocator(device_).release(data_, bytes_); }

}  // namespace dcl::tensor
