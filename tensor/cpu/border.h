// What the zeros around small pictures cost: at 4x4 pixels a third of a 3x3 convolution's products have a
// zero that is not there, at 2x2 more than half. Rows that lack the same taps are multiplied together,
// without these taps.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "tensor/cpu/im2col.h"

namespace dcl::tensor::cpu {

/// Output positions [first, second) at which a tap reads inside a picture of `in` pixels.
inline std::pair<std::int64_t, std::int64_t> live_positions(std::int64_t tap, std::int64_t step,
                                                            std::int64_t in, std::int64_t out) {
  std::int64_t first = 0;
  while (first < out && first * step + tap < 0) ++first;
  std::int64_t last = first;
  while (last < out && last * step + tap < in) ++last;
  return {first, last};
}

/// The share of a convolution's products whose tap reads inside the picture.
template <class T>
double live_share(const Windows<T>& w) {
  const auto live = [&](const std::vector<std::int64_t>& taps, std::int64_t in, std::int64_t out) {
    std::int64_t count = 0;
    for (const std::int64_t tap : taps) {
      const auto [first, last] = live_positions(tap, w.step, in, out);
      count += last - first;
    }
    return static_cast<double>(count) /
           static_cast<double>(std::max<std::int64_t>(1, std::ssize(taps) * out));
  };
  return live(w.taps_h, w.in_h, w.out_h) * live(w.taps_w, w.in_w, w.out_w);
}

/// From this many channels on a tap is worth a product of its own.
inline constexpr std::int64_t kMinTapChannels = 96;

/// The rows of `batch` pictures, those with the same live taps side by side.
template <class T>
std::vector<Position> order_by_live_taps(const Windows<T>& w, std::int64_t batch) {
  using Runs = std::vector<std::pair<std::int64_t, std::int64_t>>;
  // Runs of neighbouring positions with the same live taps.
  const auto runs_of = [&](const std::vector<std::int64_t>& taps, std::int64_t in, std::int64_t out) {
    const auto same = [&](std::int64_t a, std::int64_t b) {
      for (const std::int64_t tap : taps) {
        const auto [first, last] = live_positions(tap, w.step, in, out);
        if ((a >= first && a < last) != (b >= first && b < last)) return false;
      }
      return true;
    };
    Runs runs;
    for (std::int64_t begin = 0, end = 0; begin < out; begin = end) {
      while (end < out && same(begin, end)) ++end;
      runs.emplace_back(begin, end);
    }
    return runs;
  };
  const Runs runs_h = runs_of(w.taps_h, w.in_h, w.out_h);
  const Runs runs_w = runs_of(w.taps_w, w.in_w, w.out_w);
  std::vector<Position> order;
  order.reserve(static_cast<std::size_t>(batch * w.out_h * w.out_w));
  for (const auto& [p_begin, p_end] : runs_h)
    for (const auto& [q_begin, q_end] : runs_w)
      for (std::int64_t n = 0; n < batch; ++n)
        for (std::int64_t p = p_begin; p < p_end; ++p)
          for (std::int64_t q = q_begin; q < q_end; ++q) order.push_back({n, p, q});
  return order;
}

}  // namespace dcl::tensor::cpu
