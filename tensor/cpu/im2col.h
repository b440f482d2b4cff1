// Rows of the matrix that turns a convolution into a product, gathered on demand: im2col without the matrix.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

#include "tensor/ops/conv2d.h"

namespace dcl::tensor::cpu {

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

  /// Columns of the matrix.
  std::int64_t depth() const { return static_cast<std::int64_t>(taps_h.size() * taps_w.size()) * channels; }
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

/// Walks over the rows in order and copies columns [begin, end) of each.
template <class T>
class WindowReader {
 public:
  WindowReader(const Windows<T>& windows, std::int64_t row, std::int64_t begin, std::int64_t end)
      : w_(windows),
        touch_(windows.taps_touch()),
        tap_row_(static_cast<std::int64_t>(windows.taps_w.size()) * windows.channels),
        begin_(begin),
        end_(end),
        n_(row / (w_.out_h * w_.out_w)),
        p_(row / w_.out_w % w_.out_h),
        q_(row % w_.out_w) {}

  /// Copies the columns of the current row to `out` and moves on to the next row.
  void read(T* out) {
    for (std::int64_t column = begin_; column < end_;) {
      const std::int64_t r = column / tap_row_;
      const std::int64_t from = column - r * tap_row_;
      const std::int64_t to = std::min(tap_row_, end_ - r * tap_row_);
      const std::int64_t h = p_ * w_.step + w_.taps_h[static_cast<std::size_t>(r)];
      if (h < 0 || h >= w_.in_h) {
        std::fill_n(out, to - from, T(0));
      } else {
        const T* row = w_.x + (n_ * w_.in_h + h) * w_.in_w * w_.pixel_stride;
        touch_ ? read_run(row, from, to, out) : read_taps(row, from, to, out);
      }
      out += to - from;
      column += to - from;
    }
    advance();
  }

 private:
  static void copy(const T* from, std::int64_t count, T* to) {
    std::memcpy(to, from, static_cast<std::size_t>(count) * sizeof(T));
  }

  // Columns [from, to) of one row of taps that touch: zeros, a run of the picture's row, zeros.
  void read_run(const T* row, std::int64_t from, std::int64_t to, T* out) const {
    const std::int64_t origin =
        (q_ * w_.step + w_.taps_w[0]) * w_.channels;  // where column 0 lies in the row
    const std::int64_t first = std::clamp(-origin, from, to);
    const std::int64_t last = std::clamp(w_.in_w * w_.channels - origin, first, to);
    if (first > from) std::fill_n(out, first - from, T(0));
    if (last > first) copy(row + origin + first, last - first, out + (first - from));
    if (to > last) std::fill_n(out + (last - from), to - last, T(0));
  }

  void read_taps(const T* row, std::int64_t from, std::int64_t to, T* out) const {
    for (std::int64_t column = from; column < to;) {
      const std::int64_t s = column / w_.channels;
      const std::int64_t channel = column - s * w_.channels;
      const std::int64_t count = std::min(w_.channels - channel, to - column);
      const std::int64_t w = q_ * w_.step + w_.taps_w[static_cast<std::size_t>(s)];
      if (w < 0 || w >= w_.in_w) {
        std::fill_n(out, count, T(0));
      } else {
        copy(row + w * w_.pixel_stride + channel, count, out);
      }
      out += count;
      column += count;
    }
  }

  void advance() {
    if (++q_ < w_.out_w) return;
    q_ = 0;
    if (++p_ < w_.out_h) return;
    p_ = 0;
    ++n_;
  }

  const Windows<T>& w_;
  bool touch_;
  std::int64_t tap_row_;  // columns of one row of taps
  std::int64_t begin_, end_;
  std::int64_t n_, p_, q_;
};

}  // namespace dcl::tensor::cpu
