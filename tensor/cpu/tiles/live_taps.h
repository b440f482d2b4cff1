// Rows of small pictures ordered by the taps that they lack (border.h), for products of tiles.
#pragma once

#include <type_traits>
#include <vector>

#include "tensor/cpu/border.h"
#include "tensor/cpu/ranges.h"
#include "tensor/cpu/tiles/block_lists.h"
#include "tensor/cpu/tiles/tile_kernel.h"

namespace dcl::tensor::cpu {

/// True where gathered rows in that order are faster than a copy whose zeros are multiplied. Gathering reads
/// a pixel once for each tap: too often for numbers that have to be split, and beside products as fast as
/// AMX's worth it only where more taps are lacking. Measured with both; 7x7 pixels under 3x3 have 0.82 of
/// their taps, 14x14 have 0.91.
template <class T>
bool leaving_out_taps_pays(const Windows<T>& w, std::int64_t batch) {
  constexpr std::int64_t kLeastRows = 512;
  constexpr double kMostLive = 0.93;
  constexpr double kMostLiveOfAmx = 0.85;
  const std::int64_t taps = std::ssize(w.taps_h) * std::ssize(w.taps_w);
  if (!std::is_same_v<T, bfloat16> || taps < 2 || taps > kMaxMaskedTaps || w.channels % kBlockDepth != 0 ||
      w.channels < kMinTapChannels || batch * w.out_h * w.out_w < kLeastRows)
    return false;
  const bool amx = tile_path() == TilePath::amx || tile_path() == TilePath::amx_emulated;
  return live_share(w) <= (amx ? kMostLiveOfAmx : kMostLive);
}

/// The taps that read inside the picture for one of `together` rows, of all of `rows`.
template <class T>
std::vector<TapMask> live_taps(const Windows<T>& w, Range rows, std::int64_t together) {
  std::vector<TapMask> masks;
  RowCursor<T> cursor(w, rows.begin);
  for (std::int64_t i = 0; i < rows.size(); ++i, cursor.advance()) {
    if (i % together == 0) masks.push_back(0);
    TapMask tap = 1;
    for (const std::int64_t r : w.taps_h)
      for (const std::int64_t s : w.taps_w) {
        const std::int64_t h = cursor.at().p * w.step + r;
        const std::int64_t q = cursor.at().q * w.step + s;
        if (h >= 0 && h < w.in_h && q >= 0 && q < w.in_w) masks.back() |= tap;
        tap <<= 1;
      }
  }
  return masks;
}

}  // namespace dcl::tensor::cpu
