// Which pixels a tile of Winograd's convolution reads and writes.
#pragma once

#include <array>
#include <cstdint>

#include "tensor/cpu/winograd_kernels.h"

namespace dcl::tensor::cpu {

/// How far apart the 36 planes of `size` elements should lie: each an odd number of cache lines beyond a
/// page, or the same element of all of them would fall on one cache set.
template <class T>
std::int64_t winograd_plane(std::int64_t size) {
  constexpr auto page = static_cast<std::int64_t>(4096 / sizeof(T));
  constexpr auto lines = static_cast<std::int64_t>(5 * 64 / sizeof(T));
  return (size + page - 1) / page * page + lines;
}

/// Pictures [N,h,w,channels] in memory.
template <class T>
struct Pictures {
  T* data;
  std::int64_t h, w, channels;
};

/// The 4×4 tiles that cover N results of h×w pixels: tile t is (n,i,j), j fastest, at pixel (4i, 4j).
struct WinogradTiles {
  std::int64_t batch, rows, cols;

  WinogradTiles(std::int64_t n, std::int64_t h, std::int64_t w)
      : batch(n), rows((h + kWinogradOut - 1) / kWinogradOut), cols((w + kWinogradOut - 1) / kWinogradOut) {}
  std::int64_t total() const { return batch * rows * cols; }

  /// Pointers to the side×side pixels of tile t, the first one `padding` up and left of the tile; `outside`
  /// where they leave the picture.
  template <std::int64_t side, class T>
  std::array<T*, side * side> pixels(const Pictures<T>& x, std::int64_t t, std::int64_t padding,
                                     T* outside) const {
    const std::int64_t n = t / (rows * cols);
    const std::int64_t top = t / cols % rows * kWinogradOut - padding;
    const std::int64_t left = t % cols * kWinogradOut - padding;
    std::array<T*, side * side> all;
    auto* next = all.data();
    for (std::int64_t h = top; h < top + side; ++h)
      for (std::int64_t w = left; w < left + side; ++w)
        *next++ = h >= 0 && h < x.h && w >= 0 && w < x.w ? x.data + ((n * x.h + h) * x.w + w) * x.channels
                                                         : outside;
    return all;
  }
};

}  // namespace dcl::tensor::cpu
