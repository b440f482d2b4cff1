#include "tensor/cuda/emulated/memory.h"

#include <algorithm>
#include <iterator>

#include <sys/mman.h>

#include "tensor/check.h"

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#endif

namespace dcl::tensor::cuda::emulated {
namespace {

constexpr std::int64_t kGrain = 256;  // as cudaMalloc aligns

// With room behind each block that is nobody's.
std::int64_t rounded(std::int64_t bytes) { return (bytes / kGrain + 1) * kGrain; }

void hide_from_sanitizer([[maybe_unused]] void* from, [[maybe_unused]] std::int64_t bytes) {
#ifdef __SANITIZE_ADDRESS__
  __asan_poison_memory_region(from, static_cast<std::size_t>(bytes));
#endif
}
void show_to_sanitizer([[maybe_unused]] void* from, [[maybe_unused]] std::int64_t bytes) {
#ifdef __SANITIZE_ADDRESS__
  __asan_unpoison_memory_region(from, static_cast<std::size_t>(bytes));
#endif
}

// Neighbours become one.
void give(std::map<std::int64_t, std::int64_t>& free, std::int64_t at, std::int64_t bytes) {
  auto place = free.emplace(at, bytes).first;
  if (const auto next = std::next(place); next != free.end() && at + bytes == next->first) {
    place->second += next->second;
    free.erase(next);
  }
  if (place == free.begin()) return;
  const auto before = std::prev(place);
  if (before->first + before->second != at) return;
  before->second += place->second;
  free.erase(place);
}

}  // namespace

Memory::Memory() {
  void* arena = ::mmap(nullptr, static_cast<std::size_t>(kBytes), PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  check(arena != MAP_FAILED, "allocator: no addresses for emulated device memory");
  begin_ = static_cast<std::byte*>(arena);
  key_ = ::pkey_alloc(0, PKEY_DISABLE_ACCESS);
  if (key_ >= 0) ::pkey_mprotect(arena, static_cast<std::size_t>(kBytes), PROT_READ | PROT_WRITE, key_);
  hide_from_sanitizer(arena, kBytes);
  free_.front().emplace(0, kBytes);
}

void* Memory::allocate(std::int64_t bytes) {
  check(bytes <= kBytes, "allocator: {} bytes of emulated device memory cannot be had", bytes);
  const std::int64_t size = rounded(bytes);
  const std::scoped_lock lock(mutex_);
  void* block = take(free_[used_], size);
  if (block == nullptr) block = take(free_.front(), size);
  check(block != nullptr, "allocator: {} bytes of emulated device memory cannot be had", bytes);
  owner_[static_cast<std::byte*>(block) - begin_] = used_;
  show_to_sanitizer(block, bytes);
  stats_.live += size;
  stats_.peak = std::max(stats_.peak, stats_.live);
  return block;
}

void* Memory::take(Free& free, std::int64_t size) {
  const auto place = std::find_if(free.begin(), free.end(), [&](const auto& f) { return f.second >= size; });
  if (place == free.end()) return nullptr;
  const auto [at, room] = *place;
  free.erase(place);
  if (room > size) free.emplace(at + size, room - size);
  return begin_ + at;
}

void Memory::release(void* block, std::int64_t bytes) {
  const std::scoped_lock lock(mutex_);
  const std::int64_t at = static_cast<std::byte*>(block) - begin_;
  hide_from_sanitizer(block, rounded(bytes));
  stats_.live -= rounded(bytes);
  const auto owner = owner_.find(at);
  give(free_[owner->second], at, rounded(bytes));
  owner_.erase(owner);
}

MemoryStats Memory::stats() const {
  const std::scoped_lock lock(mutex_);
  return stats_;
}

namespace {
int& opened() {
  thread_local int times = 0;
  return times;
}
}  // namespace

void Memory::open() const {
  if (opened()++ == 0 && key_ >= 0) ::pkey_set(key_, 0);
}

void Memory::close() const {
  if (--opened() == 0 && key_ >= 0) ::pkey_set(key_, PKEY_DISABLE_ACCESS);
}

std::size_t Memory::add_pool() {
  const std::scoped_lock lock(mutex_);
  free_.emplace_back();
  return free_.size() - 1;
}

void Memory::use_pool(std::size_t pool) {
  const std::scoped_lock lock(mutex_);
  used_ = pool;
}

void Memory::let_go_of_pool(std::size_t pool) {
  const std::scoped_lock lock(mutex_);
  for (const auto& [at, bytes] : free_[pool]) give(free_.front(), at, bytes);
  free_[pool].clear();
  for (auto& [at, owner] : owner_)
    if (owner == pool) owner = 0;
}

Memory& memory() {
  static auto* const instance = new Memory;  // outlives tensors with static storage duration
  return *instance;
}

}  // namespace dcl::tensor::cuda::emulated
