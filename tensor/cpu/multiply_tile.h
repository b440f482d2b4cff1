// One tile of a product, at the edge of the result or inside it.
#pragma once

#include <algorithm>
#include <array>

#include "tensor/cpu/microkernel.h"

namespace dcl::tensor::cpu {

/// The tile's sizes, those of the microkernel that computes it, and how much of it the result has room for.
struct TileSizes {
  std::int64_t tile_rows, tile_cols;
  std::int64_t rows, cols;
};

/// Calls run(y) with a pointer for each row of a whole tile: those of `y`, at sizes.cols columns of
/// sizes.rows rows, or, where the tile hangs over the edge of the result, those of a spare tile, so that
/// every number comes from the same instructions. `add` tells that run adds to what is there.
template <class T, class Run>
void on_tile(const TileSizes& sizes, bool add, T* const* y, Run&& run) {
  if (sizes.rows == sizes.tile_rows && sizes.cols == sizes.tile_cols) return run(y);
  alignas(64) std::array<T, kMaxTileRows * kMaxTileCols> spare;
  std::array<T*, kMaxTileRows> rows;
  for (std::int64_t i = 0; i < sizes.tile_rows; ++i) {
    T* const row = spare.data() + i * sizes.tile_cols;
    rows[static_cast<std::size_t>(i)] = row;
    if (!add) continue;
    std::fill_n(row, sizes.tile_cols, T(0));
    if (i < sizes.rows) std::copy_n(y[i], sizes.cols, row);
  }
  run(rows.data());
  for (std::int64_t i = 0; i < sizes.rows; ++i)
    std::copy_n(rows[static_cast<std::size_t>(i)], sizes.cols, y[i]);
}

}  // namespace dcl::tensor::cpu
