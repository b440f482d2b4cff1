#include "tensor/cuda/allocator.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <memory>
#include <mutex>

#include "tensor/cuda/block_pool.h"
#include "tensor/cuda/context.h"

namespace dcl::tensor::cuda {

namespace {

std::atomic<bool> poison = false;

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
    void* block = nullptr;
    {
      const std::scoped_lock lock(mutex_);
      block = take(bytes);
      if (block == nullptr) fail_out_of_memory(device_, bytes, counted());
    }
    if (poison) {
      DCL_CUDA("allocator", cudaMemsetAsync(block, 0xFF, static_cast<std::size_t>(bytes), current_stream()));
    }
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

 protected:
  virtual void* take(std::int64_t bytes) = 0;  // null when there is no more
  virtual void give_back(void* block, std::int64_t bytes) = 0;
  virtual void give_cached_back() = 0;
  virtual MemoryStats counted() const = 0;

 private:
  int device_;
  mutable std::mutex mutex_;
};

class CachingDeviceAllocator final : public DeviceAllocator {
 public:
  using DeviceAllocator::DeviceAllocator;

 private:
  void* take(std::int64_t bytes) override { return pool_.allocate(bytes); }
  void give_back(void* block, std::int64_t) override { pool_.release(block); }
  void give_cached_back() override { pool_.release_cached(); }
  MemoryStats counted() const override { return pool_.stats(); }

  DeviceMemory memory_;
  BlockPool<DeviceMemory> pool_{memory_};
};

class PlainDeviceAllocator final : public DeviceAllocator {
 public:
  using DeviceAllocator::DeviceAllocator;

 private:
  void* take(std::int64_t bytes) override {
    void* block = DeviceMemory::get(bytes);
    if (block == nullptr) return nullptr;
    stats_.live += bytes;
    stats_.peak = std::max(stats_.peak, stats_.live);
    return block;
  }
  void give_back(void* block, std::int64_t bytes) override {
    DeviceMemory::put(block);  // waits until the device is done with it
    stats_.live -= bytes;
  }
  void give_cached_back() override {}
  MemoryStats counted() const override { return stats_; }

  MemoryStats stats_;
};

Allocator* make_allocator(int device) {
  check_device("allocator", {DeviceType::cuda, device});
  if (allocates_plainly()) return new PlainDeviceAllocator(device);
  return new CachingDeviceAllocator(device);
}

}  // namespace

void poison_fresh_blocks(bool on) { poison = on; }

Allocator& allocator(int device) {
  // Never destroyed: tensors with static storage duration may outlive any order of destruction.
  constexpr int kMostDevices = 64;
  static std::array<std::atomic<Allocator*>, kMostDevices> made{};
  static std::mutex mutex;
  check(0 <= device && device < kMostDevices, "allocator: no CUDA device {}", device);
  std::atomic<Allocator*>& mine = made[static_cast<std::size_t>(device)];
  if (mine.load(std::memory_order_acquire) == nullptr) {
    const std::scoped_lock lock(mutex);
    if (mine.load(std::memory_order_relaxed) == nullptr)
      mine.store(make_allocator(device), std::memory_order_release);
  }
  return *mine.load(std::memory_order_relaxed);
}

}  // namespace dcl::tensor::cuda
