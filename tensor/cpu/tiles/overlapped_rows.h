// A band of rows of a picture of few channels with zeros around them, as the left operand of a tile product
// that is read without having been gathered: what a row of taps covers lies in one piece, and the pieces of
// neighbouring output pixels overlap.
//
//   copy[part][row][number],   number = (x + left)·channels + channel
//
// The block of output pixel q and tap row r begins at row p·step + r, number q·step·channels. It may reach
// behind the taps' last number: there weights are zeros (so that what follows an infinity there is NaN).
#pragma once

#include <algorithm>
#include <type_traits>

#include "tensor/cpu/im2col.h"
#include "tensor/cpu/tiles/split.h"
#include "tensor/tensor.h"

namespace dcl::tensor::cpu {

template <class T>
class OverlappedRows {
 public:
  /// Channels for which a row of taps is little more than a block.
  static constexpr std::int64_t kMaxChannels = 8;

  /// True where `w` can be read this way.
  static bool fits(const Windows<T>& w) {
    return w.channels <= kMaxChannels && w.order.empty() && w.taps_touch() && w.taps_w.size() > 1 &&
           !w.taps_h.empty() && std::is_sorted(w.taps_h.begin(), w.taps_h.end()) && w.out_h > 0;
  }

  /// Of at most `rows` output rows.
  OverlappedRows(const Windows<T>& w, std::int64_t rows)
      : w_(w),
        left_(std::max<std::int64_t>(-w.taps_w.front(), 0)),
        row_stride_((std::max(left_ + w.in_w, std::max<std::int64_t>(w.taps_w.front(), 0) +
                                                  (w.out_w + kMaxTileHeight) * w.step) +
                     taps_w()) *
                        w.channels +
                    2 * kBlockDepth),
        rows_((rows - 1) * w.step + w.taps_h.back() - w.taps_h.front() + 1),
        storage_(Tensor::zeros({kParts<T> * part_stride()}, {DType::bfloat16, {}})) {}

  std::int64_t taps_w() const { return std::ssize(w_.taps_w); }
  std::int64_t part_stride() const { return rows_ * row_stride_; }
  /// Rows of the copy, and how far they lie apart.
  std::int64_t rows() const { return rows_; }
  std::int64_t row_stride() const { return row_stride_; }
  /// Between output pixels, and between output rows.
  std::int64_t pixel_stride() const { return w_.step * w_.channels; }
  std::int64_t output_row_stride() const { return w_.step * row_stride_; }
  /// Where what a tap row reads begins, seen from its output pixel.
  std::int64_t tap_row(std::int64_t r) const {
    return (w_.taps_h[static_cast<std::size_t>(r)] - w_.taps_h.front()) * row_stride_;
  }
  /// Of the first output pixel that was copied.
  const bfloat16* data() const {
    return storage_.data<bfloat16>() + (left_ + w_.taps_w.front()) * w_.channels;
  }

  /// What output rows [row, row + rows) of picture n read.
  void copy(std::int64_t n, std::int64_t row, std::int64_t rows) {
    auto* const values = storage_.data<bfloat16>();
    const std::int64_t first = row * w_.step + w_.taps_h.front();
    const std::int64_t last = (row + rows - 1) * w_.step + w_.taps_h.back();
    const std::int64_t numbers = w_.in_w * w_.channels;
    for (std::int64_t h = first; h <= last; ++h) {
      bfloat16* const to = values + (h - first) * row_stride_ + left_ * w_.channels;
      const bool inside = h >= 0 && h < w_.in_h;
      const T* const from = inside ? w_.x + (n * w_.in_h + h) * w_.in_w * w_.pixel_stride : nullptr;
      if (!inside) {
        for (std::int64_t part = 0; part < kParts<T>; ++part)
          std::fill_n(to + part * part_stride(), numbers, bfloat16());
      } else if constexpr (std::is_same_v<T, float>) {
        split_to_bfloat16(from, numbers, to, part_stride());
      } else {
        std::copy_n(from, numbers, to);
      }
    }
  }

 private:
  const Windows<T>& w_;
  std::int64_t left_;
  std::int64_t row_stride_;
  std::int64_t rows_;
  Tensor storage_;
};

}  // namespace dcl::tensor::cpu
