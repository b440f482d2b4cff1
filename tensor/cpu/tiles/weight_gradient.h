// The operands of a weight gradient by tiles, packed a piece of the sum's rows at a time: some channels of
// dy, transposed, and some columns of x's windows, in pairs of rows. Here are two ways to lay x: gathered
// rows, and where the result has the picture's size padded copies, in which a tap is a distance
// (padded_copy.h). A third, for few channels, is in overlapped_gradient.h.
#pragma once

#include <algorithm>
#include <array>
#include <type_traits>
#include <vector>

#include "tensor/cpu/features.h"
#include "tensor/cpu/im2col.h"
#include "tensor/cpu/prefetch.h"
#include "tensor/cpu/ranges.h"
#include "tensor/cpu/tiles/live_taps.h"
#include "tensor/cpu/tiles/padded_copy.h"
#include "tensor/cpu/tiles/row_operands.h"
#include "tensor/cpu/tiles/tile_kernel.h"
#include "tensor/cpu/tiles/weight_accumulator.h"

namespace dcl::tensor::cpu {

/// Both operands of the whole sum.
template <class T>
struct WeightOperands {
  Windows<T> dy;  // one tap: the pixel itself
  Windows<T> x;
  std::int64_t batch;

  std::int64_t rows() const { return batch * x.out_h * x.out_w; }
};

/// Channels of every pixel.
template <class T>
Windows<T> channels_of(Windows<T> w, Range channels) {
  w.x += channels.begin;
  w.channels = channels.size();
  return w;
}

/// Rows one after the other: where they lie if that is in one piece, else gathered.
template <class T>
class RowFeed {
 public:
  RowFeed(const Windows<T>& w, std::int64_t row, std::int64_t begin, std::int64_t end)
      : reader_(w, row, begin, end),
        next_(w.plain_rows() && w.order.empty() ? w.x + row * w.pixel_stride + begin : nullptr),
        stride_(w.pixel_stride),
        count_(end - begin) {}
  const T* operator()(T* place) {
    if (next_ == nullptr) return reader_.find(place);
    const T* const row = next_;
    next_ += stride_;
    prefetch_to_l2(row + kBlockDepth * stride_, count_);
    return row;
  }

 private:
  WindowReader<T> reader_;
  const T* next_;
  std::int64_t stride_, count_;
};

/// Columns from gathered rows: all taps' channels one behind the other. A piece is some rows.
template <class T>
class GatheredGradient {
 public:
  /// Pieces of `rows` rows.
  GatheredGradient(const WeightOperands<T>& all, std::int64_t rows)
      : all_(all), rows_(rows), pieces_(divide_up(all.rows(), rows)) {
    if (all.x.order.empty()) return;
    for (std::int64_t piece = 0; piece < pieces_; ++piece)
      live_taps_.push_back(live_taps(all.x, rows_of(piece), kBlockDepth));
  }

  std::int64_t pieces() const { return pieces_; }
  std::int64_t columns() const { return all_.x.depth(); }
  /// What a piece's rows are read from, where they lie as pixels do.
  std::vector<Lines> reads(std::int64_t piece) const {
    std::vector<Lines> all;
    if (!all_.x.order.empty()) return all;
    const Range m = rows_of(piece);
    for (const auto* w : {&all_.x, &all_.dy})
      if (w->plain_rows() && w->channels == w->pixel_stride) all.push_back(lines_of(*w, m.begin, m.size()));
    return all;
  }

  class Left {
   public:
    Left(const GatheredGradient& of, Range channels)
        : of_(of),
          channels_(channels),
          dy_(channels_of(of.all_.dy, channels)),
          rows_(channels.size(), of.rows_) {}
    void pack(std::int64_t piece) {
      const Range m = of_.rows_of(piece);
      rows_.fill(m.size(), RowFeed<T>(dy_, m.begin, 0, dy_.depth()));
    }

   private:
    friend class GatheredGradient;
    const GatheredGradient& of_;
    Range channels_;
    Windows<T> dy_;
    TransposedRows<T> rows_;
  };

  class Right {
   public:
    Right(const GatheredGradient& of, Range columns)
        : of_(of),
          columns_(columns),
          rows_((columns.size() + kTileCols - 1) / kTileCols * kTileCols, of.rows_) {}
    void pack(std::int64_t piece) {
      const Range m = of_.rows_of(piece);
      rows_.fill(m.size(), RowFeed<T>(of_.all_.x, m.begin, columns_.begin, columns_.end), columns_.size());
    }

   private:
    friend class GatheredGradient;
    const GatheredGradient& of_;
    Range columns_;
    PairedRows<T> rows_;
  };

  /// Adds the product of what both have packed of a piece.
  void multiply(const Left& dy, const Right& x, std::int64_t piece, WeightAccumulator<T>& tiles,
                const WeightResult& out) const {
    tiles.set_operands(dy.rows_, x.rows_);
    if (!live_taps_.empty())
      tiles.set_live_taps(live_taps_[static_cast<std::size_t>(piece)],
                          {x.columns_.begin / all_.x.channels, divide_up(x.columns_.end, all_.x.channels)});
    const WeightResult to{out.data + dy.channels_.begin * out.stride, out.stride};
    const std::int64_t cols = x.columns_.size();
    const auto add = [&](std::int64_t strip, std::int64_t column) {
      tiles.add(strip, x.rows_.data() + column / 16 * x.rows_.chunk_stride(), x.columns_.begin + column,
                std::min(kTileCols, cols - column), to, (x.columns_.begin + column) / all_.x.channels);
    };
    // The smaller operand passes by the larger one's strips or panels.
    if (dy.rows_.cols() > cols) {
      for (std::int64_t strip = 0; strip < tiles.strips(); ++strip)
        for (std::int64_t column = 0; column < cols; column += kTileCols) add(strip, column);
    } else {
      for (std::int64_t column = 0; column < cols; column += kTileCols)
        for (std::int64_t strip = 0; strip < tiles.strips(); ++strip) add(strip, column);
    }
  }

 private:
  Range rows_of(std::int64_t piece) const {
    return {all_.rows() * piece / pieces_, all_.rows() * (piece + 1) / pieces_};
  }

  const WeightOperands<T>& all_;
  std::int64_t rows_, pieces_;
  // Of each piece's blocks, where rows are ordered by them: then a panel of columns is of one tap.
  std::vector<std::vector<TapMask>> live_taps_;
};

/// Columns from a padded copy: channels, all taps of each. A piece is a band of rows of some pictures.
template <class T>
class CopiedGradient {
 public:
  static bool fits(const WeightOperands<T>& all) { return PaddedLayout<T>::fits(all.x); }

  explicit CopiedGradient(const WeightOperands<T>& all, std::int64_t /*rows*/)
      : all_(all),
        largest_(largest_band(all)),
        bands_((all.x.out_h + largest_.rows - 1) / largest_.rows),
        layout_(all.x, largest_.images, largest_.rows, kBlockDepth) {}

  std::int64_t pieces() const { return (all_.batch + largest_.images - 1) / largest_.images * bands_; }
  std::int64_t columns() const { return all_.x.channels; }

  class Left {
   public:
    Left(const CopiedGradient& of, Range channels)
        : of_(of),
          channels_(channels),
          dy_(channels_of(of.all_.dy, channels)),
          rows_(channels.size(), of.largest_.rows * of.largest_.images * of.layout_.width) {}

    // dy at the positions of the copy's lines, zeros in its padding.
    void pack(std::int64_t piece) {
      const Band band = of_.band(piece);
      BandCursor at(band.images, of_.layout_.width);
      rows_.fill(band.rows * band.images * of_.layout_.width, [&](T*) -> const T* {
        const T* const row = pixel(dy_, band.image + at.image(), band.row + at.row(), at.x());
        at.advance();
        return row;
      });
    }

   private:
    friend class CopiedGradient;
    const CopiedGradient& of_;
    Range channels_;
    Windows<T> dy_;
    TransposedRows<T> rows_;
  };

  class Right {
   public:
    Right(const CopiedGradient& of, Range channels)
        : of_(of),
          channels_(channels),
          x_(channels_of(of.all_.x, channels)),
          even_(padded(channels.size()), of.layout_.positions + kBlockDepth),
          odd_(padded(channels.size()), of.layout_.positions + kBlockDepth) {}

    void pack(std::int64_t piece) {
      const Band band = of_.band(piece);
      const auto& layout = of_.layout_;
      BandCursor at(band.images, layout.width, -layout.pad);
      even_.fill(
          layout.positions,
          [&](T*) -> const T* {
            const std::int64_t h = band.row - layout.top + at.row();
            const T* const row = h < band.row + band.rows + layout.bottom
                                     ? pixel(x_, band.image + at.image(), h, at.x())
                                     : nullptr;
            at.advance();
            return row;
          },
          x_.channels);
      odd_.fill_a_row_later(even_);
    }

   private:
    friend class CopiedGradient;
    static std::int64_t padded(std::int64_t channels) {
      return (channels + kTileCols - 1) / kTileCols * kTileCols;
    }

    const CopiedGradient& of_;
    Range channels_;
    Windows<T> x_;
    PairedRows<T> even_, odd_;  // position 2·pair, or 2·pair + 1, is the first of a pair
  };

  void multiply(const Left& dy, const Right& x, std::int64_t piece, WeightAccumulator<T>& tiles,
                const WeightResult& out) const {
    const std::int64_t images = band(piece).images;
    tiles.set_operands(dy.rows_, x.even_);  // odd_ lies as even_ does
    const WeightResult to{out.data + dy.channels_.begin * out.stride, out.stride};
    const auto taps_w = std::ssize(all_.x.taps_w);
    const std::int64_t channels = x.channels_.size();
    for (std::int64_t channel = 0; channel < channels; channel += kTileCols)
      for (std::int64_t tap = 0; tap < std::ssize(all_.x.taps_h) * taps_w; ++tap) {
        const std::int64_t start =
            layout_.origin(images) + layout_.distance(all_.x.taps_h[static_cast<std::size_t>(tap / taps_w)],
                                                      all_.x.taps_w[static_cast<std::size_t>(tap % taps_w)],
                                                      images);
        const auto& rows = start % 2 == 0 ? x.even_ : x.odd_;
        const bfloat16* const from = rows.data() + channel / 16 * rows.chunk_stride() + start / 2 * 32;
        for (std::int64_t strip = 0; strip < tiles.strips(); ++strip)
          tiles.add(strip, from, tap * all_.x.channels + x.channels_.begin + channel,
                    std::min(kTileCols, channels - channel), to);
      }
  }

 private:
  // Null outside the picture.
  static const T* pixel(const Windows<T>& w, std::int64_t image, std::int64_t row, std::int64_t x) {
    if (x < 0 || x >= w.in_w || row < 0 || row >= w.in_h) return nullptr;
    const T* const from = w.x + ((image * w.in_h + row) * w.in_w + x) * w.pixel_stride;
    prefetch_to_l2(from + kBlockDepth * w.pixel_stride, w.channels);
    return from;
  }

  // Bands that leave room for dy beside the copy in the second-level cache.
  static Band largest_band(const WeightOperands<T>& all) {
    const std::int64_t copy_bytes = second_level_cache() / 8 * 3;
    const PaddedLayout<T> one(all.x, 1, all.x.in_h, 0);
    const std::int64_t bytes = 2 * one.numbers() * 2;  // of both alignments
    if (bytes > copy_bytes) {
      const std::int64_t bands = std::min((bytes + copy_bytes - 1) / copy_bytes, all.x.out_h);
      return {0, 1, 0, (all.x.out_h + bands - 1) / bands};
    }
    return {0, std::clamp<std::int64_t>(copy_bytes / bytes, 1, all.batch), 0, all.x.out_h};
  }

  Band band(std::int64_t piece) const {
    Band band{.image = piece / bands_ * largest_.images,
              .images = 0,
              .row = piece % bands_ * largest_.rows,
              .rows = 0};
    band.images = std::min(largest_.images, all_.batch - band.image);
    band.rows = std::min(largest_.rows, all_.x.out_h - band.row);
    return band;
  }

  const WeightOperands<T>& all_;
  Band largest_;
  std::int64_t bands_;
  PaddedLayout<T> layout_;
};

}  // namespace dcl::tensor::cpu
