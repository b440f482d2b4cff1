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

/// A tile in the first-level cache.
template <class T>
class SpareTile {
 public:
  SpareTile(std::int64_t rows, std::int64_t cols) : cols_(cols) {
    for (std::int64_t i = 0; i < rows; ++i) rows_[static_cast<std::size_t>(i)] = values_.data() + i * cols;
  }
  SpareTile(const SpareTile&) = delete;
  SpareTile& operator=(const SpareTile&) = delete;

  T* const* rows() const { return rows_.data(); }
  /// What is at `from`; zeros in further columns.
  void load(std::int64_t rows, std::int64_t cols, const T* const* from) {
    for (std::int64_t i = 0; i < rows; ++i) {
      T* const row = rows_[static_cast<std::size_t>(i)];
      std::fill(std::copy_n(from[i], cols, row), row + cols_, T(0));
    }
  }

 private:
  std::int64_t cols_;
  alignas(64) std::array<T, kMaxTileRows * kMaxTileCols> values_;
  std::array<T*, kMaxTileRows> rows_;
};

/// Calls run(y) with a pointer for each row of a whole tile: those of `y`, at sizes.cols columns of
/// sizes.rows rows, or, where the tile hangs over the edge of the result, those of a spare tile, so that
/// every number comes from the same instructions. `add` tells that run adds to what is there.
template <class T, class Run>
void on_tile(const TileSizes& sizes, bool add, T* const* y, Run&& run) {
  if (sizes.rows == sizes.tile_rows && sizes.cols == sizes.tile_cols) return run(y);
  SpareTile<T> spare(sizes.tile_rows, sizes.tile_cols);
  T* const* const rows = spare.rows();
  if (add) {
    spare.load(sizes.rows, sizes.cols, y);
    for (std::int64_t i = sizes.rows; i < sizes.tile_rows; ++i) std::fill_n(rows[i], sizes.tile_cols, T(0));
  }
  run(rows);
  for (std::int64_t i = 0; i < sizes.rows; ++i) std::copy_n(rows[i], sizes.cols, y[i]);
}

}  // namespace dcl::tensor::cpu
