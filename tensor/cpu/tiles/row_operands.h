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

/// A block's rows of `cols` numbers, where they lie or in places of their own.
template <class T>
class RowBlock {
 public:
  explicit RowBlock(std::int64_t cols)
      : cols_(cols),
        places_(static_cast<std::size_t>(kBlockDepth * cols)),
        zeros_(static_cast<std::size_t>(cols)) {}

  /// Row i is next(place), of which only `rows` are there: `place`, filled, or where it lies, or null for
  /// zeros.
  template <class Next>
  void set(std::int64_t rows, Next&& next) {
    for (std::int64_t i = 0; i < kBlockDepth; ++i) {
      const T* const row = i < rows ? next(places_.data() + i * cols_) : nullptr;
      at_[static_cast<std::size_t>(i)] = row == nullptr ? zeros_.data() : row;
    }
  }
  const T* const* rows() const { return at_.data(); }

 private:
  std::int64_t cols_;
  std::vector<T> places_, zeros_;
  std::array<const T*, kBlockDepth> at_{};
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
        block_(cols),
        storage_(
            Tensor::empty({kParts<T> * max_blocks_ * padded_cols_ * kBlockDepth}, {DType::bfloat16, {}})),
        values_(storage_.data<bfloat16>()) {}

  /// next(place) returns the next row: `place`, filled, or where it lies, or null for zeros.
  template <class Next>
  void fill(std::int64_t rows, Next&& next) {
    blocks_ = (rows + kBlockDepth - 1) / kBlockDepth;
    for (std::int64_t block = 0; block < blocks_; ++block) {
      block_.set(rows - block * kBlockDepth, next);
      if constexpr (std::is_same_v<T, float>)
        transpose_rows(block_.rows(), cols_, values_ + at(0, block), at(1, 0));
      else
        transpose_rows(block_.rows(), cols_, values_ + at(0, block));
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
  RowBlock<T> block_;
  Tensor storage_;
  bfloat16* values_;
};

/// [part][col/16][row/2][col%16][row%2], the right operand, in blocks of `block_rows` rows, an even number up
/// to kBlockDepth. Rows behind the last one are zeros; columns behind `filled` are of any values.
template <class T>
class PairedRows {
 public:
  PairedRows(std::int64_t cols, std::int64_t max_rows, std::int64_t block_rows = kBlockDepth)
      : cols_(cols),
        block_rows_(block_rows),
        blocks_((max_rows + block_rows - 1) / block_rows),
        pairs_((blocks_ - 1) * block_rows / 2 + kBlockDepth / 2),
        block_(cols),
        storage_(Tensor::empty({kParts<T> * cols / 16 * chunk_stride()}, {DType::bfloat16, {}})),
        values_(storage_.data<bfloat16>()) {}

  /// As TransposedRows::fill(); rows have `filled` numbers, all columns unless given.
  template <class Next>
  void fill(std::int64_t rows, Next&& next, std::int64_t filled = -1) {
    if (filled < 0) filled = cols_;
    // A shorter block is filled up with pairs of zeros, on which the next one lies.
    for (std::int64_t block = 0; block < blocks_; ++block) {
      block_.set(std::min(rows - block * block_rows_, block_rows_), next);
      if constexpr (std::is_same_v<T, float>)
        interleave_rows(block_.rows(), filled, values_ + at(0, block), chunk_stride(), part_stride());
      else
        interleave_rows(block_.rows(), filled, values_ + at(0, block), chunk_stride());
    }
  }

  /// What fill() gives of the same rows without the first one; `rows` is as large.
  void fill_a_row_later(const PairedRows& rows) {
    for (std::int64_t part = 0; part < kParts<T>; ++part)
      for (std::int64_t chunk = 0; chunk < cols_ / 16; ++chunk)
        pair_a_row_later(rows.values_ + at(part, 0) + chunk * chunk_stride(), pairs_,
                         values_ + at(part, 0) + chunk * chunk_stride());
  }

  const bfloat16* data() const { return values_; }
  /// A cache line more than the rows fill: else a row's chunks would fall on one set of the first-level
  /// cache.
  std::int64_t chunk_stride() const { return pairs_ * 32 + 32; }
  std::int64_t at(std::int64_t part, std::int64_t block) const {
    return part * part_stride() + block * block_rows_ * 16;
  }

 private:
  std::int64_t part_stride() const { return cols_ / 16 * chunk_stride(); }

  std::int64_t cols_, block_rows_, blocks_, pairs_;
  RowBlock<T> block_;
  Tensor storage_;
  bfloat16* values_;
};

}  // namespace dcl::tensor::cpu
