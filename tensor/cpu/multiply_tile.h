// One tile of a product, at the edge of the result or inside it.
#pragma once

#include <algorithm>
#include <array>

#include "tensor/cpu/microkernel.h"

namespace dcl::tensor::cpu {

/// The packed operands of a tile: those of Microkernel::Run.
template <class T>
struct TileOperands {
  const T* a;
  const T* b;
  std::int64_t depth;
};

/// The tile's sizes, those of the microkernel that computes it, and how much of it the result has room for.
struct TileSizes {
  std::int64_t tile_rows, tile_cols;
  std::int64_t rows, cols;
};

/// Writes (`bias` not null) or adds (null) a tile to the `rows` x `cols` numbers at y[0], y[1] … A tile that
/// hangs over the edge goes through a spare one, so that every number comes from the same instructions.
template <class T>
void multiply_tile(typename Microkernel<T>::Run run, const TileOperands<T>& operands, const T* bias,
                   const TileSizes& sizes, T* const* y) {
  if (sizes.rows == sizes.tile_rows && sizes.cols == sizes.tile_cols) {
    run(operands.a, operands.b, operands.depth, bias, y);
    return;
  }
  alignas(64) std::array<T, kMaxTileRows * kMaxTileCols> spare{};
  std::array<T*, kMaxTileRows> rows{};
  for (std::int64_t i = 0; i < sizes.tile_rows; ++i) {
    T* const row = spare.data() + i * sizes.tile_cols;
    rows[static_cast<std::size_t>(i)] = row;
    if (bias == nullptr && i < sizes.rows) std::copy_n(y[i], sizes.cols, row);
  }
  run(operands.a, operands.b, operands.depth, bias, rows.data());
  for (std::int64_t i = 0; i < sizes.rows; ++i)
    std::copy_n(rows[static_cast<std::size_t>(i)], sizes.cols, y[i]);
}

}  // namespace dcl::tensor::cpu
