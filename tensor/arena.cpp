#include "tensor/arena.h"

#include <algorithm>
#include <iterator>

#include <sys/mman.h>

namespace dcl::tensor {

namespace {
constexpr std::int64_t kHugePage = std::int64_t{2} << 20;
}

Arena::Arena(std::int64_t capacity) {
  const auto mapped = static_cast<std::size_t>(capacity + kHugePage);
  void* mapping = capacity <= 0 ? MAP_FAILED
                                : ::mmap(nullptr, mapped, PROT_READ | PROT_WRITE,
                                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapping == MAP_FAILED) return;
  mapping_ = mapping;
  capacity_ = capacity / kGrain * kGrain;
  // Activations are tens of megabytes each, and 4 KiB pages cost a fault and a TLB entry apiece.
  ::madvise(mapping, mapped, MADV_HUGEPAGE);
  const auto address = reinterpret_cast<std::uintptr_t>(mapping);
  base_ = static_cast<std::byte*>(mapping) + (kHugePage - address % kHugePage) % kHugePage;
  free_[0] = {capacity_, 0};
}

Arena::~Arena() {
  if (mapping_ != nullptr) ::munmap(mapping_, static_cast<std::size_t>(capacity_ + kHugePage));
}

void* Arena::allocate(std::int64_t bytes) {
  auto found = free_.end();
  for (auto place = free_.begin(); place != free_.end(); ++place) {
    if (place->second.bytes < bytes) continue;
    if (found == free_.end() || place->second.bytes < found->second.bytes) found = place;
  }
  if (found == free_.end()) return nullptr;
  const auto [offset, place] = *found;
  free_.erase(found);
  cached_ -= std::min(place.used, bytes);
  if (place.bytes > bytes)
    free_[offset + bytes] = {place.bytes - bytes, std::max(place.used - bytes, std::int64_t{0})};
  return base_ + offset;
}

void Arena::release(void* block, std::int64_t bytes) {
  const std::int64_t offset = static_cast<std::byte*>(block) - base_;
  auto here = free_.insert({offset, {bytes, bytes}}).first;
  cached_ += bytes;
  if (const auto next = std::next(here); next != free_.end() && next->first == offset + bytes) {
    here->second = {bytes + next->second.bytes, bytes + next->second.used};
    free_.erase(next);
  }
  if (here == free_.begin()) return;
  const auto before = std::prev(here);
  if (before->first + before->second.bytes != offset) return;
  // All up to the end of the block counts as used, also what was not (after release_cached()).
  cached_ += before->second.bytes - before->second.used;
  before->second = {before->second.bytes + here->second.bytes, before->second.bytes + here->second.used};
  free_.erase(here);
}

bool Arena::owns(const void* block) const {
  const auto* at = static_cast<const std::byte*>(block);
  return base_ != nullptr && at >= base_ && at < base_ + capacity_;
}

void Arena::release_cached() {
  for (auto& [offset, place] : free_) {
    ::madvise(base_ + offset, static_cast<std::size_t>(place.used), MADV_DONTNEED);
    place.used = 0;
  }
  cached_ = 0;
}

}  // namespace dcl::tensor
