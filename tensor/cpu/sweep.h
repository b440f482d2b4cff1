// One threaded sweep over many tensors, as if they lay one behind the other: for updates of all parameters of
// a model, most of which are too small to be worth a thread each.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>

#include "tensor/cpu/threads.h"

namespace dcl::tensor::cpu {

/// Calls `body(tensor, begin, end)` so that each element in [0, sizes[tensor]) of each tensor is in exactly
/// one range.
template <class F>
void parallel_sweep(std::span<const std::int64_t> sizes, F body) {
  constexpr std::int64_t grain = 32768;
  std::int64_t total = 0;
  for (const auto size : sizes) total += size;
  parallel_for(total, grain, [&](std::int64_t begin, std::int64_t end) {
    std::int64_t first = 0;  // where this tensor begins
    for (std::size_t tensor = 0; tensor < sizes.size() && first < end; ++tensor) {
      const std::int64_t from = std::max(begin - first, std::int64_t{0});
      const std::int64_t to = std::min(end - first, sizes[tensor]);
      if (from < to) body(tensor, from, to);
      first += sizes[tensor];
    }
  });
}

}  // namespace dcl::tensor::cpu
