// The backend without a GPU: "device" memory is host memory that only kernels, products and copies may touch.
#include "tensor/cuda/backend.h"

#include <cstring>
#include <map>
#include <mutex>

#include <sys/mman.h>

#include "tensor/check.h"
#include "tensor/cuda/emulated/memory.h"

namespace dcl::tensor::cuda {
namespace {

constexpr std::int64_t kArenaBytes = std::int64_t{4} << 30;  // addresses only
constexpr std::int64_t kGrain = 256;                         // as cudaMalloc aligns

// First fit in one range of addresses that is closed while nobody holds a DeviceAccess.
class Memory final : public Allocator {
 public:
  Memory() {
    void* arena = ::mmap(nullptr, static_cast<std::size_t>(kArenaBytes), PROT_NONE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    check(arena != MAP_FAILED, "allocator: no addresses for emulated device memory");
    begin_ = static_cast<std::byte*>(arena);
    free_.emplace(0, kArenaBytes);
  }

  void* allocate(std::int64_t bytes) override {
    const std::int64_t size = rounded(bytes);
    const std::scoped_lock lock(mutex_);
    for (auto place = free_.begin(); place != free_.end(); ++place) {
      const auto [at, room] = *place;
      if (room < size) continue;
      free_.erase(place);
      if (room > size) free_.emplace(at + size, room - size);
      stats_.live += size;
      stats_.peak = std::max(stats_.peak, stats_.live);
      return begin_ + at;
    }
    fail("allocator: {} bytes of emulated device memory cannot be had", bytes);
  }

  void release(void* block, std::int64_t bytes) override {
    const std::scoped_lock lock(mutex_);
    stats_.live -= rounded(bytes);
    auto place = free_.emplace(static_cast<std::byte*>(block) - begin_, rounded(bytes)).first;
    if (const auto next = std::next(place);
        next != free_.end() && place->first + place->second == next->first) {
      place->second += next->second;
      free_.erase(next);
    }
    if (place == free_.begin()) return;
    const auto before = std::prev(place);
    if (before->first + before->second != place->first) return;
    before->second += place->second;
    free_.erase(place);
  }

  void release_cached() override {}
  MemoryStats stats() const override {
    const std::scoped_lock lock(mutex_);
    return stats_;
  }

  void open() {
    const std::scoped_lock lock(mutex_);
    if (users_++ == 0) protect(PROT_READ | PROT_WRITE);
  }
  void close() {
    const std::scoped_lock lock(mutex_);
    if (--users_ == 0) protect(PROT_NONE);
  }

 private:
  static std::int64_t rounded(std::int64_t bytes) {
    return (std::max<std::int64_t>(bytes, 1) + kGrain - 1) / kGrain * kGrain;
  }
  void protect(int how) { ::mprotect(begin_, static_cast<std::size_t>(kArenaBytes), how); }

  mutable std::mutex mutex_;
  std::byte* begin_ = nullptr;
  std::map<std::int64_t, std::int64_t> free_;  // offset, bytes
  MemoryStats stats_;
  int users_ = 0;
};

Memory& memory() {
  static auto* const instance = new Memory;  // outlives tensors with static storage duration
  return *instance;
}

}  // namespace

namespace emulated {
DeviceAccess::DeviceAccess() { memory().open(); }
DeviceAccess::~DeviceAccess() { memory().close(); }
}  // namespace emulated

std::string why_unusable(int device) {
  return device == 0 ? "" : fmt::format("no CUDA device {}: the emulation has one", device);
}
int use_device(int /*device*/) { return 0; }
void return_to_device(int /*device*/) noexcept {}
void synchronize(int /*device*/) {}
Allocator& allocator(int /*device*/) { return memory(); }

void poison(void* data, std::int64_t bytes, int /*device*/) {
  const emulated::DeviceAccess access;
  std::memset(data, 0xFF, static_cast<std::size_t>(bytes));
}

void fill(Tensor& x, const void* element) {
  const emulated::DeviceAccess access;
  const auto size = static_cast<std::size_t>(size_of(x.dtype()));
  auto* to = static_cast<std::byte*>(x.raw());
  for (std::int64_t i = 0; i < x.numel(); ++i, to += size) std::memcpy(to, element, size);
}

void copy(Tensor& to, const Tensor& from) {
  if (to.dtype() != from.dtype()) {
    to.copy_from(from.to(Device{}).to(to.dtype()));
    return;
  }
  const emulated::DeviceAccess access;
  std::memmove(to.raw(), from.raw(), static_cast<std::size_t>(to.nbytes()));
}

}  // namespace dcl::tensor::cuda
