// A band of rows of a few pictures with zeros around them, cut into blocks of 32 channels, so that a
// convolution's taps are distances:
//
//   copy[part][channel/32][position][channel%32],   position = lead + ((row·images + image)·width + x)
//
// width is the picture's plus the padding, which the end of a line and the beginning of the next one share.
// (The order keeps the zeros above and below a picture out of the positions that are computed.)
#pragma once

#include <algorithm>

#include "tensor/cpu/im2col.h"
#include "tensor/cpu/tiles/split.h"
#include "tensor/tensor.h"

namespace dcl::tensor::cpu {

/// Output rows [row, row + rows) of pictures [image, image + images).
struct Band {
  std::int64_t image, images;
  std::int64_t row, rows;
};

/// Walks a band's positions, whose number is (row·images + image)·width + x; x < 0 before the first one.
class BandCursor {
 public:
  BandCursor(std::int64_t images, std::int64_t width, std::int64_t x = 0)
      : images_(images), width_(width), x_(x) {}

  std::int64_t x() const { return x_; }
  std::int64_t image() const { return image_; }
  std::int64_t row() const { return row_; }
  void advance() {
    if (++x_ < width_) return;
    x_ = 0;
    if (++image_ < images_) return;
    image_ = 0;
    ++row_;
  }

 private:
  std::int64_t images_, width_;
  std::int64_t x_, image_ = 0, row_ = 0;
};

/// Where things lie in copies of bands of at most `images` by `rows`.
template <class T>
class PaddedLayout {
 public:
  PaddedLayout(const Windows<T>& w, std::int64_t images, std::int64_t rows, std::int64_t overrun)
      : top(-w.taps_h.front()),
        bottom(w.taps_h.back()),
        pad(std::max(-w.taps_w.front(), w.taps_w.back())),
        width(w.in_w + pad),
        positions(pad + (rows + top + bottom) * images * width + pad + overrun),
        chunks((w.channels + kBlockDepth - 1) / kBlockDepth),
        part_stride(chunks * positions * kBlockDepth) {}

  /// True where `w` can be read this way: every tap of a result of the picture's size, at most one picture's
  /// zeros.
  static bool fits(const Windows<T>& w) {
    if (w.step != 1 || w.out_h != w.in_h || w.out_w != w.in_w || !w.order.empty()) return false;
    if (w.taps_h.size() * w.taps_w.size() < 2) return false;
    const auto around_zero = [](const std::vector<std::int64_t>& taps, std::int64_t size) {
      return taps.front() <= 0 && taps.back() >= 0 && -taps.front() < size && taps.back() < size &&
             std::is_sorted(taps.begin(), taps.end());
    };
    return around_zero(w.taps_h, w.in_h) && around_zero(w.taps_w, w.in_w);
  }

  std::int64_t numbers() const { return kParts<T> * part_stride; }
  /// Of the first output position of a band.
  std::int64_t origin(std::int64_t images) const { return pad + top * images * width; }
  /// How far a tap reads from an output position.
  std::int64_t distance(std::int64_t tap_h, std::int64_t tap_w, std::int64_t images) const {
    return tap_h * images * width + tap_w;
  }
  std::int64_t chunk_stride() const { return positions * kBlockDepth; }

  std::int64_t top, bottom, pad, width;
  std::int64_t positions;
  std::int64_t chunks;
  std::int64_t part_stride;
};

template <class T>
void copy_padded(const Windows<T>& w, const Band& band, const PaddedLayout<T>& layout, bfloat16* copy) {
  const std::int64_t last_row = band.row + band.rows + layout.bottom;
  for (std::int64_t chunk = 0; chunk < layout.chunks; ++chunk) {
    const std::int64_t channel = chunk * kBlockDepth;
    const std::int64_t channels = std::min(kBlockDepth, w.channels - channel);
    bfloat16* to = copy + chunk * layout.chunk_stride();
    const auto zeros = [&](std::int64_t positions) {
      for (std::int64_t part = 0; part < kParts<T>; ++part)
        std::fill_n(to + part * layout.part_stride, positions * kBlockDepth, bfloat16());
      to += positions * kBlockDepth;
    };
    zeros(layout.pad);
    for (std::int64_t h = band.row - layout.top; h < last_row; ++h) {
      if (h < 0 || h >= w.in_h) {
        zeros(band.images * layout.width);
        continue;
      }
      for (std::int64_t n = band.image; n < band.image + band.images; ++n) {
        write_blocks(w.x + (n * w.in_h + h) * w.in_w * w.pixel_stride + channel,
                     {w.in_w, channels, w.pixel_stride, kBlockDepth, layout.part_stride}, to);
        to += w.in_w * kBlockDepth;
        zeros(layout.pad);
      }
    }
    zeros((copy + (chunk + 1) * layout.chunk_stride() - to) / kBlockDepth);
  }
}

}  // namespace dcl::tensor::cpu
