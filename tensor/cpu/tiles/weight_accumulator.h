// Tiles of a weight gradient, added up, and what is asked for beside their products.
#pragma once

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "tensor/cpu/im2col.h"
#include "tensor/cpu/prefetch.h"
#include "tensor/cpu/ranges.h"
#include "tensor/cpu/tiles/block_lists.h"
#include "tensor/cpu/tiles/live_taps.h"
#include "tensor/cpu/tiles/row_operands.h"
#include "tensor/cpu/tiles/tile_kernel.h"

namespace dcl::tensor::cpu {

/// Element (o,k) goes to data[o·stride + k].
struct WeightResult {
  float* data;
  std::int64_t stride;
};

/// Rows of a left operand, and how far they and their pairs lie apart; each block has `pairs` of those.
struct LeftRows {
  const bfloat16* data;
  std::int64_t count;
  std::int64_t stride = kBlockDepth;
  std::int64_t pairs = kBlockDepth / 2, pair_stride = 2;
};

/// Cache lines beside each other.
struct Lines {
  const bfloat16* from;
  std::int64_t count;
  static constexpr std::int64_t kNumbers = 64 / sizeof(bfloat16);
};

/// Those of pixels [first, first + count).
template <class T>
Lines lines_of(const Windows<T>& w, std::int64_t first, std::int64_t count) {
  return {reinterpret_cast<const bfloat16*>(w.x + first * w.pixel_stride),
          count * w.pixel_stride * static_cast<std::int64_t>(sizeof(T)) / 64};
}

/// Tiles of the product of two packed operands, added to the result.
template <class T>
class WeightAccumulator {
 public:
  void set_operands(const TransposedRows<T>& dy, const PairedRows<T>& x) {
    BlockList all;
    for_each_product<T>(dy.blocks(), [&](std::int64_t block, PartPair pair) {
      all.a.push_back(dy.at(pair.a, block));
      all.b.push_back(x.at(pair.b, block));
    });
    set_operands({.data = dy.data(), .count = dy.cols()}, x.chunk_stride(), std::move(all));
  }

  void set_operands(const LeftRows& rows, std::int64_t b_half, BlockList blocks) {
    left_ = rows;
    b_half_ = b_half;
    all_ = std::move(blocks);
    of_tap_.clear();
  }

  /// The live taps of each block of rows, of which a tap's columns then sum no others; for columns of `taps`.
  void set_live_taps(const std::vector<TapMask>& of_blocks, Range taps) {
    first_tap_ = taps.begin;
    for (std::int64_t tap = taps.begin; tap < taps.end; ++tap)
      of_tap_.push_back(filtered(all_, [&](std::int64_t i) {
        return (of_blocks[static_cast<std::size_t>(i / std::ssize(kPartPairs<T>))] >> tap & 1) != 0;
      }));
  }

  /// What the next pack() reads, to be asked for beside the next `tiles` tiles.
  void set_ahead(std::vector<Lines> reads, std::int64_t tiles) {
    reads_ = std::move(reads);
    std::int64_t lines = 0;
    for (const Lines& read : reads_) lines += read.count;
    lines_of_tile_ = divide_up(lines, tiles);
  }

  std::int64_t strips() const { return divide_up(left_.count, kernel_.rows); }

  /// Columns [column, column + cols) of a strip of the left operand's rows; x points to the columns' first
  /// pair.
  void add(std::int64_t strip, const bfloat16* x, std::int64_t column, std::int64_t cols,
           const WeightResult& out, std::int64_t tap = 0) {
    const BlockList& blocks = of_tap_.empty() ? all_ : of_tap_[static_cast<std::size_t>(tap - first_tap_)];
    const std::int64_t row = first_row(strip);
    const TileRoom room{first_row(strip + 1) - row, cols};
    std::array<float*, kMaxTileHeight> y;
    for (std::int64_t i = 0; i < room.rows; ++i) {
      y[static_cast<std::size_t>(i)] = out.data + (row + i) * out.stride + column;
      prefetch_to_write(y[static_cast<std::size_t>(i)], cols);
    }
    const Lines ahead = next_lines(std::ssize(blocks.a));
    kernel_.multiply({.a = left_.data + row * left_.stride,
                      .a_stride = left_.stride,
                      .a_at = blocks.a.data(),
                      .b = x,
                      .b_half = b_half_,
                      .b_at = blocks.b.data(),
                      .blocks = std::ssize(blocks.a),
                      .rows = room.rows,
                      .pairs = left_.pairs,
                      .a_pair_stride = left_.pair_stride,
                      .ahead = ahead.from,
                      .ahead_of_block = ahead.count * Lines::kNumbers},
                     c_.data());
    kernel_.add_float(c_.data(), room, y.data());
  }

 private:
  // Those that the first of a tile's blocks asks for, and as many each of the others.
  Lines next_lines(std::int64_t blocks) {
    while (!reads_.empty() && reads_.back().count <= 0) reads_.pop_back();
    if (reads_.empty() || blocks == 0) return {nullptr, 0};
    Lines& read = reads_.back();
    const Lines next{read.from, divide_up(std::min(read.count, lines_of_tile_), blocks)};
    read.from += next.count * blocks * Lines::kNumbers;
    read.count -= next.count * blocks;
    return next;
  }

  // Strips of about the same height where the lower ones are faster.
  std::int64_t first_row(std::int64_t strip) const {
    return kernel_.any_rows ? left_.count * strip / strips() : std::min(strip * kernel_.rows, left_.count);
  }

  const TileKernel& kernel_ = tile_kernel();
  LeftRows left_{};
  std::int64_t b_half_ = 0;
  BlockList all_;
  std::vector<Lines> reads_;  // from the last one on
  std::int64_t lines_of_tile_ = 0;
  std::vector<BlockList> of_tap_;  // from the first one on, or none: then all blocks
  std::int64_t first_tap_ = 0;
  alignas(64) std::array<float, kMaxTileHeight * kTileCols> c_;
};

}  // namespace dcl::tensor::cpu
