#include "tensor/cuda/allocator.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <deque>
#include <memory>
#include <mutex>
#include <set>
#include <utility>
#include <vector>

#include "tensor/cuda/block_pool.h"
#include "tensor/cuda/context.h"

namespace dcl::tensor::cuda {

namespace {

// The system of BlockPool: the memory of the current device.
struct DeviceMemory {
  static void* get(std::int64_t bytes) {
    void* block = nullptr;
    const cudaError_t status = cudaMalloc(&block, static_cast<std::size_t>(std::max<std::int64_t>(bytes, 1)));
    if (status == cudaErrorMemoryAllocation) {
      cudaGetLastError();
      return nullptr;
    }
    DCL_CUDA("allocator", status);
    return block;
  }
  // At the end of the process the runtime may be gone, and the memory with it.
  static void put(void* block) { cudaFree(block); }
};

double megabytes(std::int64_t bytes) { return static_cast<double>(bytes) / (1 << 20); }

[[noreturn]] void fail_out_of_memory(int device, std::int64_t bytes, const MemoryStats& stats) {
  std::size_t available = 0;
  std::size_t total = 0;
  DCL_CUDA("allocator", cudaMemGetInfo(&available, &total));
  fail(
      "allocator: out of memory on cuda:{}: {} bytes ({:.1f} MiB) asked for, {:.1f} MiB in use, {:.1f} MiB "
      "cached, "
      "{:.1f} MiB free of the GPU's {:.1f} MiB",
      device, bytes, megabytes(bytes), megabytes(stats.live), megabytes(stats.cached),
      megabytes(static_cast<std::int64_t>(available)), megabytes(static_cast<std::int64_t>(total)));
}

// What both have: one device, one lock, and the error when there is no more.
class DeviceAllocator : public Allocator {
 public:
  explicit DeviceAllocator(int device) : device_(device) {}

  void* allocate(std::int64_t bytes) final {
    const DeviceScope on({DeviceType::cuda, device_});
    const std::scoped_lock lock(mutex_);
    void* block = take(bytes);
    if (block == nullptr) fail_out_of_memory(device_, bytes, counted());
    return block;
  }
  void release(void* block, std::int64_t bytes) final {
    const std::scoped_lock lock(mutex_);
    give_back(block, bytes);
  }
  void release_cached() final {
    const DeviceScope on({DeviceType::cuda, device_});
    const std::scoped_lock lock(mutex_);
    give_cached_back();
  }
  MemoryStats stats() const final {
    const std::scoped_lock lock(mutex_);
    return counted();
  }
  int make_pool() {
    const std::scoped_lock lock(mutex_);
    return add_pool();
  }
  void use(int pool) {
    const std::scoped_lock lock(mutex_);
    use_pool(pool);
  }
  void let_go(int pool) {
    const DeviceScope on({DeviceType::cuda, device_});
    const std::scoped_lock lock(mutex_);
    let_go_of_pool(pool);
  }

 protected:
  virtual void* take(std::int64_t bytes) = 0;  // null when there is no more
  virtual void give_back(void* block, std::int64_t bytes) = 0;
  virtual void give_cached_back() = 0;
  virtual MemoryStats counted() const = 0;
  // Pools of graphs (MemoryPool): their numbers; 0 is everybody's.
  virtual int add_pool() = 0;
  virtual void use_pool(int number) = 0;
  virtual void let_go_of_pool(int number) = 0;

 private:
  int device_;
  mutable std::mutex mutex_;
};

class CachingDeviceAllocator final : public DeviceAllocator {
 public:
  explicit CachingDeviceAllocator(int device) : DeviceAllocator(device) {
    used_ = &pools_.emplace_back(memory_);
  }

 private:
  using Pool = BlockPool<DeviceMemory>;

  void* take(std::int64_t bytes) override {
    void* block = used_->allocate(bytes);
    if (block == nullptr) {
      give_cached_back();
      block = used_->allocate(bytes);
    }
    peak_ = std::max(peak_, counted().live);
    return block;
  }
  void give_back(void* block, std::int64_t) override {
    for (Pool& pool : pools_)
      if (pool.owns(block)) {
        pool.release(block);
        const bool nobodys = &pool != &pools_.front() && !held_.contains(&pool);
        if (nobodys && pool.stats().live == 0) pool.release_cached();
        return;
      }
  }
  void give_cached_back() override {
    for (Pool& pool : pools_)
      if (!held_.contains(&pool)) pool.release_cached();
  }
  MemoryStats counted() const override {
    MemoryStats sum;
    for (const Pool& pool : pools_) {
      sum.live += pool.stats().live;
      sum.cached += pool.stats().cached;
    }
    sum.peak = peak_;
    return sum;
  }
  int add_pool() override {
    pools_.emplace_back(memory_);
    pools_.back().keep(true);
    held_.insert(&pools_.back());
    return static_cast<int>(pools_.size()) - 1;
  }
  void use_pool(int number) override { used_ = &pools_[static_cast<std::size_t>(number)]; }
  void let_go_of_pool(int number) override {
    Pool& pool = pools_[static_cast<std::size_t>(number)];
    held_.erase(&pool);
    pool.keep(false);
    pool.release_cached();
  }

  DeviceMemory memory_;
  std::deque<Pool> pools_;  // the first one is everybody's
  Pool* used_ = nullptr;
  std::set<const Pool*> held_;  // by graphs, whose replays use what is free in them
  std::int64_t peak_ = 0;
};

class PlainDeviceAllocator final : public DeviceAllocator {
 public:
  using DeviceAllocator::DeviceAllocator;

 private:
  struct Pool {
    std::set<void*> blocks;    // in use
    std::vector<void*> given;  // which replays still use
    bool held = true;
  };

  void* take(std::int64_t bytes) override {
    void* block = DeviceMemory::get(bytes);
    if (block == nullptr) return nullptr;
    stats_.live += bytes;
    stats_.peak = std::max(stats_.peak, stats_.live);
    if (used_ > 0) pools_[static_cast<std::size_t>(used_)].blocks.insert(block);
    return block;
  }
  void give_back(void* block, std::int64_t bytes) override {
    stats_.live -= bytes;
    for (Pool& pool : pools_)
      if (pool.blocks.erase(block) > 0 && pool.held) return pool.given.push_back(block);
    DeviceMemory::put(block);  // waits until the device is done with it
  }
  void give_cached_back() override {}
  MemoryStats counted() const override { return stats_; }
  int add_pool() override {
    pools_.emplace_back();
    return static_cast<int>(pools_.size()) - 1;
  }
  void use_pool(int number) override { used_ = number; }
  void let_go_of_pool(int number) override {
    Pool& pool = pools_[static_cast<std::size_t>(number)];
    pool.held = false;
    for (void* block : pool.given) DeviceMemory::put(block);
    pool.given.clear();
  }

  MemoryStats stats_;
  std::deque<Pool> pools_{1};  // the first one is nobody's
  int used_ = 0;
};

DeviceAllocator* make_allocator(int device) {
  check_device("allocator", {DeviceType::cuda, device});
  if (allocates_plainly()) return new PlainDeviceAllocator(device);
  return new CachingDeviceAllocator(device);
}

}  // namespace

namespace {
DeviceAllocator& device_allocator(int device) {
  // Never destroyed: tensors with static storage duration may outlive any order of destruction.
  constexpr int kMostDevices = 64;
  static std::array<std::atomic<DeviceAllocator*>, kMostDevices> made{};
  static std::mutex mutex;
  check(0 <= device && device < kMostDevices, "allocator: no CUDA device {}", device);
  std::atomic<DeviceAllocator*>& mine = made[static_cast<std::size_t>(device)];
  if (mine.load(std::memory_order_acquire) == nullptr) {
    const std::scoped_lock lock(mutex);
    if (mine.load(std::memory_order_relaxed) == nullptr)
      mine.store(make_allocator(device), std::memory_order_release);
  }
  return *mine.load(std::memory_order_relaxed);
}
}  // namespace

Allocator& allocator(int device) { return device_allocator(device); }

MemoryPool::MemoryPool(int device) : device_(device), number_(device_allocator(device).make_pool()) {}
MemoryPool::MemoryPool(MemoryPool&& other) noexcept
    : device_(other.device_), number_(std::exchange(other.number_, -1)) {}
MemoryPool::~MemoryPool() {
  if (number_ < 0) return;
  try {
    device_allocator(device_).let_go(number_);
  } catch (const Error&) {  // the device has failed; what made it fail was said where it was found
  }
}
MemoryPool::Use::Use(MemoryPool& pool) : device_(pool.device_) {
  device_allocator(device_).use(pool.number_);
}
MemoryPool::Use::~Use() { device_allocator(device_).use(0); }

}  // namespace dcl::tensor::cuda
