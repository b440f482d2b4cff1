// Which stretch of memory serves which request: the bookkeeping of the caching allocator, which knows nothing
// of CUDA, so that it is tested on any machine.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <map>
#include <set>
#include <utility>

#include "tensor/storage.h"

namespace dcl::tensor::cuda {

/// Takes segments from `System`, cuts blocks from them and joins free neighbours again. Best fit, the lowest
/// address of several. Small blocks have segments of their own: a statistic that lives long must not hold a
/// large segment.
///
///     void* System::get(std::int64_t bytes);   // null when there is no more
///     void System::put(void* segment);
///
/// Not for several threads at once.
template <class System>
class BlockPool {
 public:
  static constexpr std::int64_t kGrain = 512;  // sizes are multiples of it
  static constexpr std::int64_t kMegabyte = std::int64_t{1} << 20;
  static constexpr std::int64_t kMostSmall = kMegabyte;
  static constexpr std::int64_t kSmallSegment = 2 * kMegabyte;
  static constexpr std::int64_t kMostShared =
      10 * kMegabyte;  // larger requests get segments of their own size
  static constexpr std::int64_t kSharedSegment = 20 * kMegabyte;
  static constexpr std::int64_t kMostBytes = std::int64_t{1} << 60;

  explicit BlockPool(System& system) : system_(&system) {}
  ~BlockPool() { release_cached(); }
  BlockPool(const BlockPool&) = delete;
  BlockPool& operator=(const BlockPool&) = delete;

  /// A block of at least `bytes` bytes; null where the system has none even after all that is cached went
  /// back to it.
  void* allocate(std::int64_t bytes) {
    if (bytes > kMostBytes) return nullptr;
    const std::int64_t size = round_up(std::max<std::int64_t>(bytes, 1), kGrain);
    Places& places = places_[kind_of(size)];
    auto found = places.lower_bound({size, nullptr});
    if (found == places.end()) {
      if (!grow(size)) return nullptr;
      found = places.lower_bound({size, nullptr});
    }
    return take(places, found, size);
  }

  void release(void* address) noexcept {
    auto it = blocks_.find(static_cast<std::byte*>(address));
    Places& places = places_[it->second.kind];
    stats_.live -= it->second.bytes;
    stats_.cached += it->second.bytes;
    typename Places::node_type place = std::move(it->second.place);
    if (const auto next = std::next(it); next != blocks_.end() && joins(it->second, next->second)) {
      places.erase({next->second.bytes, next->first});
      it->second.bytes += next->second.bytes;
      blocks_.erase(next);
    }
    if (const auto previous = it; it != blocks_.begin() && joins(it->second, std::prev(it)->second)) {
      --it;
      places.erase({it->second.bytes, it->first});
      it->second.bytes += previous->second.bytes;
      blocks_.erase(previous);
    }
    place.value() = {it->second.bytes, it->first};
    places.insert(std::move(place));
  }

  /// Gives the segments that no block is in use of back to the system.
  void release_cached() {
    for (auto it = blocks_.begin(); it != blocks_.end();) {
      const auto next = std::next(it);
      const auto& [address, block] = *it;
      const bool ends = next == blocks_.end() || next->second.segment != block.segment;
      if (block.is_free() && address == block.segment && ends) {
        system_->put(address);
        stats_.cached -= block.bytes;
        places_[block.kind].erase({block.bytes, address});
        blocks_.erase(it);
      }
      it = next;
    }
  }

  const MemoryStats& stats() const { return stats_; }

  /// While kept, free segments do not go back to the system, not even where memory is short: something that
  /// is not a block still uses them.
  void keep(bool kept) { kept_ = kept; }

  /// True for blocks that this pool handed out and that were not given back.
  bool owns(const void* address) const {
    const auto found = blocks_.find(static_cast<std::byte*>(const_cast<void*>(address)));
    return found != blocks_.end() && !found->second.is_free();
  }

 private:
  using Places = std::set<std::pair<std::int64_t, std::byte*>>;  // free blocks: bytes, address

  struct Block {
    std::int64_t bytes = 0;
    std::byte* segment = nullptr;  // where its segment begins
    std::size_t kind = 0;
    typename Places::node_type place = {};  // while in use: its place among the free ones, so that giving it
                                            // back needs no memory
    bool is_free() const { return place.empty(); }
  };

  static std::int64_t round_up(std::int64_t bytes, std::int64_t to) { return (bytes + to - 1) / to * to; }
  static std::size_t kind_of(std::int64_t size) { return size <= kMostSmall ? 0 : 1; }
  static std::int64_t segment_bytes(std::int64_t size) {
    if (size <= kMostSmall) return kSmallSegment;
    return size <= kMostShared ? kSharedSegment : round_up(size, kSmallSegment);
  }
  static bool joins(const Block& block, const Block& neighbour) {
    return neighbour.is_free() && neighbour.segment == block.segment;
  }
  static typename Places::node_type new_place() {
    Places one{{0, nullptr}};
    return one.extract(one.begin());
  }

  // A segment for `size`; where memory is short, first without what is cached, then no larger than needed.
  bool grow(std::int64_t size) {
    const std::int64_t wanted = segment_bytes(size);
    if (add_segment(wanted, kind_of(size))) return true;
    if (!kept_) release_cached();
    return add_segment(wanted, kind_of(size)) || (wanted > size && add_segment(size, kind_of(size)));
  }

  bool add_segment(std::int64_t bytes, std::size_t kind) {
    auto place = new_place();
    auto* base = static_cast<std::byte*>(system_->get(bytes));
    if (base == nullptr) return false;
    try {
      blocks_.emplace(base, Block{bytes, base, kind});
    } catch (...) {
      system_->put(base);
      throw;
    }
    place.value() = {bytes, base};
    places_[kind].insert(std::move(place));
    stats_.cached += bytes;
    return true;
  }

  void* take(Places& places, typename Places::iterator found, std::int64_t size) {
    const auto [bytes, address] = *found;
    Block& block = blocks_.at(address);
    if (bytes > size) {
      auto rest = new_place();
      blocks_.emplace(address + size, Block{bytes - size, block.segment, block.kind});
      block.bytes = size;
      rest.value() = {bytes - size, address + size};
      places.insert(std::move(rest));
    }
    block.place = places.extract(found);
    stats_.cached -= size;
    stats_.live += size;
    stats_.peak = std::max(stats_.peak, stats_.live);
    return address;
  }

  System* system_;
  std::map<std::byte*, Block> blocks_;  // by address; no two free ones of a segment touch
  std::array<Places, 2> places_;        // of small and of large segments
  MemoryStats stats_;
  bool kept_ = false;
};

}  // namespace dcl::tensor::cuda
