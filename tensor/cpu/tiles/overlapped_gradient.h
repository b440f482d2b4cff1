// A weight gradient of few channels, dy the right operand: rows of x are read where a copy has them
// (overlapped_rows.h), without having been gathered.
//
//   dweight^T[(r,s,c),o] = sum_m x[m,(r,s,c)] * dy[m,o],   m = (n,p,q)
//
// What a tap row r reads of two neighbouring output pixels lies pixel_stride numbers apart. In a copy of such
// pairs,
//
//   pairs[row][i] = (copy[row][i], copy[row][i + pixel_stride]),
//
// element (s,c) of output pixels q and q + 1 is pair q*pixel_stride + s*channels + c: the rows (s,c) of the
// left operand lie side by side, its own pairs 2*pixel_stride apart. Positions behind a row's last output
// pixel have zeros for dy (so that an infinity there gives NaN).
#pragma once

#include <algorithm>
#include <utility>
#include <vector>

#include "tensor/cpu/features.h"
#include "tensor/cpu/prefetch.h"
#include "tensor/cpu/ranges.h"
#include "tensor/cpu/tiles/overlapped_rows.h"
#include "tensor/cpu/tiles/weight_gradient.h"

namespace dcl::tensor::cpu {

/// A piece is a band of output rows of one picture. The result is transposed: depth rows of dy's channels.
class OverlappedGradient {
 public:
  /// True where `all` can be read this way.
  static bool fits(const WeightOperands<bfloat16>& all) {
    return tile_kernel().any_pairs && OverlappedRows<bfloat16>::fits(all.x);
  }

  explicit OverlappedGradient(const WeightOperands<bfloat16>& all)
      : all_(all),
        line_blocks_(divide_up(all.x.out_w, kBlockDepth)),
        block_rows_(divide_up(all.x.out_w, 2 * line_blocks_) * 2),
        bands_(divide_up(all.x.out_h, band_rows(all))) {}

  std::int64_t pieces() const { return all_.batch * bands_; }
  std::int64_t columns() const { return all_.dy.channels; }
  /// What pack() reads of a piece.
  std::vector<Lines> reads(std::int64_t piece) const {
    const auto& [dy, x, batch] = all_;
    const std::int64_t n = piece / bands_;
    const Range rows = output_rows(piece);
    const std::int64_t first = std::max<std::int64_t>(rows.begin * x.step + x.taps_h.front(), 0);
    const std::int64_t last = std::min((rows.end - 1) * x.step + x.taps_h.back() + 1, x.in_h);
    return {lines_of(dy, (n * dy.out_h + rows.begin) * dy.out_w, rows.size() * dy.out_w),
            lines_of(x, (n * x.in_h + first) * x.in_w, std::max<std::int64_t>(last - first, 0) * x.in_w)};
  }

  class Left {
   public:
    Left(const OverlappedGradient& of, Range /*all columns of x's windows*/)
        : of_(of),
          copy_(of.all_.x, divide_up(of.all_.x.out_h, of.bands_)),
          numbers_(of.line() * copy_.pixel_stride() + copy_.taps_w() * of.all_.x.channels),
          storage_(Tensor::zeros({copy_.rows() * row_stride() + 2 * kMaxTileHeight}, {DType::bfloat16, {}})),
          pairs_(storage_.data<bfloat16>()) {}

    void pack(std::int64_t piece) {
      const auto& x = of_.all_.x;
      const Range rows = of_.output_rows(piece);
      copy_.copy(piece / of_.bands_, rows.begin, rows.size());
      const std::int64_t read = (rows.size() - 1) * x.step + x.taps_h.back() - x.taps_h.front() + 1;
      for (std::int64_t row = 0; row < read; ++row) {
        const bfloat16* const from = std::as_const(copy_).data() + row * copy_.row_stride();
        pair_rows(from, from + copy_.pixel_stride(), numbers_, pairs_ + row * row_stride());
      }
    }

   private:
    friend class OverlappedGradient;
    std::int64_t row_stride() const { return 2 * numbers_; }

    const OverlappedGradient& of_;
    OverlappedRows<bfloat16> copy_;
    std::int64_t numbers_;  // of a row
    Tensor storage_;
    bfloat16* pairs_;
  };

  class Right {
   public:
    Right(const OverlappedGradient& of, Range channels)
        : of_(of),
          channels_(channels.size()),
          rows_(divide_up(channels.size(), kTileCols) * kTileCols,
                divide_up(of.all_.x.out_h, of.bands_) * of.line(), of.block_rows_) {}

    // Zeros behind the last pixel of a row.
    void pack(std::int64_t piece) {
      const auto& dy = of_.all_.dy;
      const Range rows = of_.output_rows(piece);
      const std::int64_t first = (piece / of_.bands_ * dy.out_h + rows.begin) * dy.out_w;
      const bfloat16* pixel = dy.x + first * dy.pixel_stride;
      std::int64_t q = 0;
      rows_.fill(
          rows.size() * of_.line(),
          [&](bfloat16*) -> const bfloat16* {
            const bool inside = q < dy.out_w;
            if (++q == of_.line()) q = 0;
            if (!inside) return nullptr;
            prefetch_to_l2(pixel + kBlockDepth * dy.pixel_stride, channels_);
            return std::exchange(pixel, pixel + dy.pixel_stride);
          },
          channels_);
    }

   private:
    friend class OverlappedGradient;
    const OverlappedGradient& of_;
    std::int64_t channels_;
    PairedRows<bfloat16> rows_;
  };

  void multiply(const Left& x, const Right& dy, std::int64_t piece, WeightAccumulator<bfloat16>& tiles,
                const WeightResult& out) const {
    const std::int64_t pixel = 2 * x.copy_.pixel_stride();
    BlockList blocks;
    for (std::int64_t p = 0; p < output_rows(piece).size(); ++p)
      for (std::int64_t i = 0; i < line_blocks_; ++i) {
        blocks.a.push_back(p * all_.x.step * x.row_stride() + i * block_rows_ * pixel);
        blocks.b.push_back(dy.rows_.at(0, p * line_blocks_ + i));
      }
    const std::int64_t rows = x.copy_.taps_w() * all_.x.channels;
    for (std::int64_t r = 0; r < std::ssize(all_.x.taps_h); ++r) {
      const std::int64_t row = all_.x.taps_h[static_cast<std::size_t>(r)] - all_.x.taps_h.front();
      tiles.set_operands({.data = x.pairs_ + row * x.row_stride(),
                          .count = rows,
                          .stride = 2,
                          .pairs = block_rows_ / 2,
                          .pair_stride = 2 * pixel},
                         dy.rows_.chunk_stride(), blocks);
      for (std::int64_t column = 0; column < dy.channels_; column += kTileCols)
        for (std::int64_t strip = 0; strip < tiles.strips(); ++strip)
          tiles.add(strip, dy.rows_.data() + column / 16 * dy.rows_.chunk_stride(), column,
                    std::min(kTileCols, dy.channels_ - column),
                    {out.data + r * rows * out.stride, out.stride});
    }
  }

 private:
  // Positions of an output row, whole blocks of them.
  std::int64_t line() const { return line_blocks_ * block_rows_; }

  // dy's pairs of a band beside the rows of x, in the second-level cache.
  static std::int64_t band_rows(const WeightOperands<bfloat16>& all) {
    const std::int64_t bytes = all.x.out_w * all.dy.channels * static_cast<std::int64_t>(sizeof(bfloat16));
    return std::clamp<std::int64_t>(second_level_cache() / 8 / bytes, 1, all.x.out_h);
  }

  Range output_rows(std::int64_t piece) const {
    const std::int64_t band = piece % bands_;
    return {all_.x.out_h * band / bands_, all_.x.out_h * (band + 1) / bands_};
  }

  const WeightOperands<bfloat16>& all_;
  std::int64_t line_blocks_, block_rows_, bands_;
};

}  // namespace dcl::tensor::cpu
