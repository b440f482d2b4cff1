// Which blocks of both operands a strip's product sums: all of them, or those of the taps that read inside
// the picture for one of its rows.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

namespace dcl::tensor::cpu {

/// Taps as bits, so that there are up to 64 of them.
using TapMask = std::uint64_t;
inline constexpr std::int64_t kMaxMaskedTaps = 64;

/// Where products read, in the order in which they are summed.
struct BlockList {
  std::vector<std::int64_t> a, b;
};

/// Those entries i of a list for which takes(i).
template <class Takes>
BlockList filtered(const BlockList& all, Takes takes) {
  BlockList some;
  for (std::size_t i = 0; i < all.a.size(); ++i) {
    if (!takes(static_cast<std::int64_t>(i))) continue;
    some.a.push_back(all.a[i]);
    some.b.push_back(all.b[i]);
  }
  return some;
}

/// A list for each strip.
class BlockLists {
 public:
  /// Of all blocks; what was said of strips is forgotten.
  void set_all(BlockList all) {
    all_ = std::move(all);
    some_.clear();
    of_strip_.clear();
  }
  /// Strip i has the live taps masks[i]; a tap is `products` neighbours of the list.
  void set_masks(const std::vector<TapMask>& masks, std::int64_t products) {
    of_strip_.clear();
    for (const TapMask mask : masks) of_strip_.push_back(find_or_add(mask, products));
  }

  const BlockList& of(std::int64_t strip) const {
    return of_strip_.empty() ? all_ : some_[of_strip_[static_cast<std::size_t>(strip)]].list;
  }

 private:
  struct Masked {
    TapMask mask;
    BlockList list;
  };

  std::size_t find_or_add(TapMask mask, std::int64_t products) {
    const auto known = std::ranges::find(some_, mask, &Masked::mask);
    const auto index = static_cast<std::size_t>(known - some_.begin());
    if (known != some_.end()) return index;
    some_.push_back({mask, filtered(all_, [&](std::int64_t i) { return (mask >> i / products & 1) != 0; })});
    return index;
  }

  BlockList all_;
  std::vector<Masked> some_;  // a few: a 3×3 kernel's nine, and those of strips that have two kinds of rows
  std::vector<std::size_t> of_strip_;
};

}  // namespace dcl::tensor::cpu
