// The two operands of a product that sums over rows, packed from rows as they come (transpose.h), in bfloat16
// or in its parts (split.h).
#pragma once

#include <algorithm>
#include <array>
#include <type_traits>
#include <vector>

#include "tensor/cpu/tiles/split.h"
#include "tensor/cpu/tiles/transpose.h"
#include "tensor/tensor.h"

namespace dcl::tensor::cpu {

/// Takes rows of `cols` numbers of type T, a block's at a time, and gives each part's as bfloat16.
template <class T>
class RowParts {
 public:
  explicit RowParts(std::int64_t cols)
      : cols_(cols),
        rows_(static_cast<std::size_t>(kBlockDepth * cols)),
        parts_(std::is_same_v<T, float> ? static_cast<std::size_t>(kBlockDepth * kParts<T> * cols) : 0),
        zeros_(static_cast<std::size_t>(cols)) {}

  /// Row i of the next ones: a place for it, for those who have to gather it.
  T* place(std::int64_t i) { return rows_.data() + i * cols_; }
  /// `row` null stands for zeros; only its first `filled` numbers are read.
  void set(std::int64_t i, const T* row, std::int64_t filled) {
    for (std::int64_t part = 0; part < kParts<T>; ++part)
      at_[static_cast<std::size_t>(part)][static_cast<std::size_t>(i)] = zeros_.data();
    if (row == nullptr) return;
    if constexpr (std::is_same_v<T, bfloat16>) {
      at_[0][static_cast<std::size_t>(i)] = row;
    } else {
      bfloat16* const out = parts_.data() + i * kParts<T> * cols_;
      split_to_bfloat16(row, filled, out, cols_);
      for (std::int64_t part = 0; part < kParts<T>; ++part)
        at_[static_cast<std::size_t>(part)][static_cast<std::size_t>(i)] = out + part * cols_;
    }
  }
  const bfloat16* const* part(std::int64_t part) const { return at_[static_cast<std::size_t>(part)].data(); }

 private:
  std::int64_t cols_;
  std::vector<T> rows_;
  std::vector<bfloat16> parts_, zeros_;
  std::array<std::array<const bfloat16*, kBlockDepth>, kParts<T>> at_{};
};

/// [part][row/32][col][row%32], the left operand; rows are filled up with zeros to whole blocks. Behind the
/// last column there is room for a tile's rows, of any values.
template <class T>
class TransposedRows {
 public:
  TransposedRows(std::int64_t cols, std::int64_t max_rows)
      : cols_(cols),
        padded_cols_(cols + kMaxTileHeight),
        max_blocks_((max_rows + kBlockDepth - 1) / kBlockDepth),
        parts_(cols),
        storage_(
            Tensor::empty({kParts<T> * max_blocks_ * padded_cols_ * kBlockDepth}, {DType::bfloat16, {}})),
        values_(storage_.data<bfloat16>()) {}

  /// next(place) returns the next row: `place`, filled, or where it lies, or null for zeros.
  template <class Next>
  void fill(std::int64_t rows, Next&& next) {
    blocks_ = (rows + kBlockDepth - 1) / kBlockDepth;
    for (std::int64_t block = 0; block < blocks_; ++block) {
      for (std::int64_t i = 0; i < kBlockDepth; ++i)
        parts_.set(i, block * kBlockDepth + i < rows ? next(parts_.place(i)) : nullptr, cols_);
      for (std::int64_t part = 0; part < kParts<T>; ++part)
        transpose_rows(parts_.part(part), cols_, values_ + at(part, block));
    }
  }

  const bfloat16* data() const { return values_; }
  std::int64_t cols() const { return cols_; }
  std::int64_t blocks() const { return blocks_; }
  std::int64_t at(std::int64_t part, std::int64_t block) const {
    return (part * max_blocks_ + block) * padded_cols_ * kBlockDepth;
  }

 private:
  std::int64_t cols_, padded_cols_, max_blocks_;
  std::int64_t blocks_ = 0;
  RowParts<T> parts_;
  Tensor storage_;
  bfloat16* values_;
};

/// [part][col/16][row/2][col%16][row%2], the right operand. Rows behind the last one are zeros; columns
/// behind `filled` are of any values.
template <class T>
class PairedRows {
 public:
  PairedRows(std::int64_t cols, std::int64_t max_rows)
      : cols_(cols),
        pairs_((max_rows + kBlockDepth - 1) / kBlockDepth * kBlockDepth / 2),
        parts_(cols),
        storage_(Tensor::empty({kParts<T> * cols / 16 * chunk_stride()}, {DType::bfloat16, {}})),
        values_(storage_.data<bfloat16>()) {}

  /// As TransposedRows::fill(); rows have `filled` numbers, all columns unless given.
  template <class Next>
  void fill(std::int64_t rows, Next&& next, std::int64_t filled = -1) {
    if (filled < 0) filled = cols_;
    for (std::int64_t block = 0; block < pairs_ / 16; ++block) {
      for (std::int64_t i = 0; i < kBlockDepth; ++i)
        parts_.set(i, block * kBlockDepth + i < rows ? next(parts_.place(i)) : nullptr, filled);
      for (std::int64_t part = 0; part < kParts<T>; ++part)
        interleave_rows(parts_.part(part), filled, values_ + at(part, block), chunk_stride());
    }
  }

  const bfloat16* data() const { return values_; }
  /// A cache line more than the rows fill: else a row's chunks would fall on one set of the first-level
  /// cache.
  std::int64_t chunk_stride() const { return pairs_ * 32 + 32; }
  std::int64_t at(std::int64_t part, std::int64_t block) const {
    return part * part_stride() + block * kHalfBlock;
  }

 private:
  std::int64_t part_stride() const { return cols_ / 16 * chunk_stride(); }

  std::int64_t cols_, pairs_;
  RowParts<T> parts_;
  Tensor storage_;
  bfloat16* values_;
};

}  // namespace dcl::tensor::cpu
