// Rows of the matrix that turns a convolution into a product, gathered on demand: im2col without the matrix.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

#include "tensor/cpu/copy_runs.h"
#include "tensor/ops/conv2d.h"

namespace dcl::tensor::cpu {

/// An output pixel.
struct Position {
  std::int64_t n, p, q;
};

/// Row (n,p,q), with p < out_h and q < out_w, holds for each tap (r,s) the `channels` numbers of x's pixel
///   (n, p·step + taps_h[r], q·step + taps_w[s]), or zeros outside the picture; r outermost.
template <class T>
struct Windows {
  const T* x;  // [N,in_h,in_w,pixel_stride], at the first channel to take
  std::int64_t in_h, in_w;
  std::int64_t channels, pixel_stride;
  std::int64_t out_h, out_w;
  std::int64_t step;
  std::vector<std::int64_t> taps_h, taps_w;
  std::vector<Position> order = {};  // of the rows; when empty n, p, q count up, q fastest

  /// Columns of the matrix.
  std::int64_t depth() const { return static_cast<std::int64_t>(taps_h.size() * taps_w.size()) * channels; }
  /// True when row m is just the pixel m of x: a 1x1 convolution.
  bool plain_rows() const {
    return taps_h.size() == 1 && taps_w.size() == 1 && taps_h[0] == 0 && taps_w[0] == 0 && step == 1 &&
           out_h == in_h && out_w == in_w;
  }
  /// How many rows of the picture lie between two rows of taps; 0 unless there are several, each as far below
  /// the one before.
  std::int64_t tap_rows_apart() const {
    if (taps_h.size() < 2) return 0;
    const std::int64_t apart = std::max<std::int64_t>(0, taps_h[1] - taps_h[0]);
    for (std::size_t r = 1; r < taps_h.size(); ++r)
      if (taps_h[r] != taps_h[r - 1] + apart) return 0;
    return apart;
  }
  /// True when the pixels of a row of taps lie beside each other in memory, so that one copy takes them all.
  bool taps_touch() const {
    for (std::size_t s = 1; s < taps_w.size(); ++s)
      if (taps_w[s] != taps_w[s - 1] + 1) return false;
    return channels == pixel_stride;
  }
};

/// What the forward pass of a convolution reads of group `g`.
template <class T>
Windows<T> forward_windows(const Conv2dSizes& z, const T* x, std::int64_t g) {
  const auto taps = [&](std::int64_t kernel) {
    std::vector<std::int64_t> offsets;
    for (std::int64_t r = 0; r < kernel; ++r) offsets.push_back(r * z.params.dilation - z.params.padding);
    return offsets;
  };
  return {.x = x + g * z.group_in(),
          .in_h = z.in_h,
          .in_w = z.in_w,
          .channels = z.group_in(),
          .pixel_stride = z.in_channels,
          .out_h = z.out_h,
          .out_w = z.out_w,
          .step = z.params.stride,
          .taps_h = taps(z.kernel_h),
          .taps_w = taps(z.kernel_w)};
}

/// The output's pixels of group `g` as rows: one tap, the pixel itself.
template <class T>
Windows<T> output_pixels(const Conv2dSizes& z, const T* dy, std::int64_t g) {
  return {.x = dy + g * z.group_out(),
          .in_h = z.out_h,
          .in_w = z.out_w,
          .channels = z.group_out(),
          .pixel_stride = z.out_channels,
          .out_h = z.out_h,
          .out_w = z.out_w,
          .step = 1,
          .taps_h = {0},
          .taps_w = {0}};
}

/// The rows in their order, from a given one on.
template <class T>
class RowCursor {
 public:
  RowCursor(const Windows<T>& windows, std::int64_t row) : w_(windows), row_(row) {
    if (!w_.order.empty()) {
      at_ = w_.order[static_cast<std::size_t>(row)];
    } else if (w_.out_h * w_.out_w > 0) {
      at_ = {row / (w_.out_h * w_.out_w), row / w_.out_w % w_.out_h, row % w_.out_w};
    }
  }
  const Position& at() const { return at_; }
  void advance() {
    ++row_;
    if (!w_.order.empty()) {
      if (row_ < std::ssize(w_.order)) at_ = w_.order[static_cast<std::size_t>(row_)];
    } else if (++at_.q == w_.out_w) {
      at_.q = 0;
      if (++at_.p == w_.out_h) at_ = {at_.n + 1, 0, 0};
    }
  }

 private:
  const Windows<T>& w_;
  std::int64_t row_;
  Position at_{};
};

/// Walks over the rows in order and shows columns [begin, end) of each, piece by piece.
template <class T>
class WindowReader {
 public:
  WindowReader(const Windows<T>& windows, std::int64_t row, std::int64_t begin, std::int64_t end)
      : w_(windows),
        touch_(windows.taps_touch()),
        tap_row_(static_cast<std::int64_t>(windows.taps_w.size()) * windows.channels),
        begin_(begin),
        end_(end),
        first_tap_(tap_row_ > 0 ? begin / tap_row_ : 0),
        pitch_(touch_ && begin == 0 && end == windows.depth()
                   ? windows.tap_rows_apart() * windows.in_w * windows.pixel_stride
                   : 0),
        cursor_(windows, row) {}

  /// Calls piece(column, count, source) for consecutive pieces of the current row, `column` counted from
  /// begin and `source` null where there are zeros; then moves on to the next row.
  template <class Piece>
  void visit(Piece&& piece) {
    const auto& [n, p, q] = cursor_.at();
    std::int64_t r = first_tap_;
    for (std::int64_t start = first_tap_ * tap_row_; start < end_; start += tap_row_, ++r) {
      const std::int64_t from = std::max(begin_ - start, std::int64_t{0});
      const std::int64_t to = std::min(tap_row_, end_ - start);
      const std::int64_t h = p * w_.step + w_.taps_h[static_cast<std::size_t>(r)];
      const std::int64_t column = start - begin_;
      if (h < 0 || h >= w_.in_h) {
        piece(column + from, to - from, static_cast<const T*>(nullptr));
        continue;
      }
      const T* row = w_.x + (n * w_.in_h + h) * w_.in_w * w_.pixel_stride;
      touch_ ? visit_run(row, column, from, to, piece) : visit_taps(row, column, from, to, piece);
    }
    cursor_.advance();
  }

  /// Copies the columns of the current row to `out` and moves on to the next row. False when all are zeros
  /// outside the picture.
  bool read(T* out) {
    if (pitch_ > 0 && all_taps_inside()) {
      constexpr auto size = static_cast<std::int64_t>(sizeof(T));
      const auto& [n, p, q] = cursor_.at();
      const std::int64_t h = n * w_.in_h + p * w_.step + w_.taps_h[0];
      const std::int64_t w = q * w_.step + w_.taps_w[0];
      copy_runs_(w_.x + (h * w_.in_w + w) * w_.pixel_stride, pitch_ * size, std::ssize(w_.taps_h),
                 tap_row_ * size, out);
      cursor_.advance();
      return true;
    }
    bool inside = false;
    visit([&](std::int64_t column, std::int64_t count, const T* source) {
      if (source == nullptr) {
        std::fill_n(out + column, count, T(0));
      } else {
        std::memcpy(out + column, source, static_cast<std::size_t>(count) * sizeof(T));
        inside = true;
      }
    });
    return inside;
  }

  /// Where the columns of the current row lie if that is in one piece, null if they are zeros, else `place`,
  /// to which they are copied; moves on to the next row.
  const T* find(T* place) {
    if (pitch_ > 0) return read(place) ? place : nullptr;
    const T* found = nullptr;
    visit([&](std::int64_t column, std::int64_t count, const T* source) {
      if (count == end_ - begin_) {
        found = source;
      } else if (source == nullptr) {
        std::fill_n(place + column, count, T(0));
      } else {
        std::memcpy(place + column, source, static_cast<std::size_t>(count) * sizeof(T));
        found = place;
      }
    });
    return found;
  }

 private:
  // All taps of the current row lie inside the picture.
  bool all_taps_inside() const {
    const std::int64_t h = cursor_.at().p * w_.step;
    const std::int64_t w = cursor_.at().q * w_.step;
    return h + w_.taps_h.front() >= 0 && h + w_.taps_h.back() < w_.in_h && w + w_.taps_w.front() >= 0 &&
           w + w_.taps_w.back() < w_.in_w;
  }

  // Columns [from, to) of one row of taps that touch: zeros, a run of the picture's row, zeros.
  template <class Piece>
  void visit_run(const T* row, std::int64_t column, std::int64_t from, std::int64_t to, Piece& piece) const {
    const std::int64_t origin =
        (cursor_.at().q * w_.step + w_.taps_w[0]) * w_.channels;  // where column 0 lies in the row
    const std::int64_t first = std::clamp(-origin, from, to);
    const std::int64_t last = std::clamp(w_.in_w * w_.channels - origin, first, to);
    if (first > from) piece(column + from, first - from, static_cast<const T*>(nullptr));
    if (last > first) piece(column + first, last - first, row + origin + first);
    if (to > last) piece(column + last, to - last, static_cast<const T*>(nullptr));
  }

  template <class Piece>
  void visit_taps(const T* row, std::int64_t column, std::int64_t from, std::int64_t to, Piece& piece) const {
    for (std::int64_t s = from / w_.channels, start = s * w_.channels; start < to;
         ++s, start += w_.channels) {
      const std::int64_t channel = std::max(from - start, std::int64_t{0});
      const std::int64_t count = std::min(w_.channels, to - start) - channel;
      const std::int64_t w = cursor_.at().q * w_.step + w_.taps_w[static_cast<std::size_t>(s)];
      const bool inside = w >= 0 && w < w_.in_w;
      piece(column + start + channel, count, inside ? row + w * w_.pixel_stride + channel : nullptr);
    }
  }

  const Windows<T>& w_;
  bool touch_;
  std::int64_t tap_row_;  // columns of one row of taps
  std::int64_t begin_, end_;
  std::int64_t first_tap_;  // row of taps in which begin lies
  std::int64_t pitch_;      // from one row of taps to the next where all columns are read by such rows; or 0
  CopyRuns copy_runs_ = copy_runs();
  RowCursor<T> cursor_;
};

}  // namespace dcl::tensor::cpu
