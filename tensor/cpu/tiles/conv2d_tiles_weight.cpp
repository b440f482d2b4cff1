// dweight[o,k] = sum_m dy[m,o] · windows(x)[m,k]: the sum runs over output pixels m, so dy is transposed and
// x's rows are laid in pairs. Where the result has the picture's size, m counts the positions of a padded
// copy of x (padded_copy.h), dy is zero where the copy has padding, and a tap is a distance.
#include <algorithm>
#include <array>
#include <type_traits>

#include "tensor/cpu/features.h"
#include "tensor/cpu/row_sums.h"
#include "tensor/cpu/threads.h"
#include "tensor/cpu/tiles/conv2d_tiles.h"
#include "tensor/cpu/tiles/padded_copy.h"
#include "tensor/cpu/tiles/row_operands.h"

namespace dcl::tensor::cpu {

namespace {

std::int64_t divide_up(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

// Rows m multiplied at a time, and bytes of x for them, so that both operands stay in the second-level cache.
constexpr std::int64_t kRows = 512;
std::int64_t copy_bytes() { return second_level_cache() / 8 * 3; }
// A gradient of up to this many numbers is summed in parts, one a range of rows; a larger one is shared out
// by columns.
constexpr std::int64_t kMaxPartialSize = 1 << 16;
constexpr std::int64_t kMaxParts = 16;

struct Range {
  std::int64_t begin, end;
};

// Element (o,k) goes to data[o·stride + k].
struct Result {
  float* data;
  std::int64_t stride;
};

// Tiles of the product of the two operands, added to the result.
template <class T>
class Accumulator {
 public:
  void set_operands(const TransposedRows<T>& dy, const PairedRows<T>& x) {
    dy_ = dy.data();
    dy_cols_ = dy.cols();
    b_half_ = x.chunk_stride();
    a_at_.clear();
    b_at_.clear();
    for_each_product<T>(dy.blocks(), [&](std::int64_t block, PartPair pair) {
      a_at_.push_back(dy.at(pair.a, block));
      b_at_.push_back(x.at(pair.b, block));
    });
  }

  std::int64_t strips() const { return divide_up(dy_cols_, kernel_.rows); }

  /// Columns [column, column + cols) of a strip of output channels; x points to the columns' first pair.
  void add(std::int64_t strip, const bfloat16* x, std::int64_t column, std::int64_t cols, const Result& out) {
    const std::int64_t o = strip * kernel_.rows;
    kernel_.multiply({.a = dy_ + o * kBlockDepth,
                      .a_stride = kBlockDepth,
                      .a_at = a_at_.data(),
                      .b = x,
                      .b_half = b_half_,
                      .b_at = b_at_.data(),
                      .blocks = std::ssize(a_at_)},
                     c_.data());
    const TileRoom room{std::min(kernel_.rows, dy_cols_ - o), cols};
    std::array<float*, kMaxTileHeight> y;
    for (std::int64_t i = 0; i < room.rows; ++i)
      y[static_cast<std::size_t>(i)] = out.data + (o + i) * out.stride + column;
    kernel_.add_float(c_.data(), room, y.data());
  }

 private:
  const TileKernel& kernel_ = tile_kernel();
  const bfloat16* dy_ = nullptr;
  std::int64_t dy_cols_ = 0, b_half_ = 0;
  std::vector<std::int64_t> a_at_, b_at_;
  alignas(64) std::array<float, kMaxTileHeight * kTileCols> c_;
};

template <class T>
struct Operands {
  Windows<T> dy;  // one tap: the pixel itself
  Windows<T> x;
  std::int64_t batch;

  std::int64_t rows() const { return batch * x.out_h * x.out_w; }
};

// Rows one after the other: where they lie if they are pixels, else gathered.
template <class T>
class RowFeed {
 public:
  RowFeed(const Windows<T>& w, std::int64_t row, std::int64_t begin, std::int64_t end)
      : reader_(w, row, begin, end),
        next_(w.plain_rows() ? w.x + row * w.pixel_stride + begin : nullptr),
        stride_(w.pixel_stride) {}
  const T* operator()(T* place) {
    if (next_ == nullptr) return reader_.read(place) ? place : nullptr;
    const T* const row = next_;
    next_ += stride_;
    return row;
  }

 private:
  WindowReader<T> reader_;
  const T* next_;
  std::int64_t stride_;
};

// Columns from gathered rows: panels of 32 of all taps' channels.
template <class T>
class GatheredGradient {
 public:
  static std::int64_t pieces(const Operands<T>& all) { return divide_up(all.rows(), kRows); }
  static std::int64_t panels(const Operands<T>& all) { return divide_up(all.x.depth(), kTileCols); }

  GatheredGradient(const Operands<T>& all, Range panels)
      : all_(all),
        first_(panels.begin * kTileCols),
        cols_(std::min(panels.end * kTileCols, all.x.depth()) - first_),
        dy_(all.dy.channels, kRows),
        x_((panels.end - panels.begin) * kTileCols, kRows) {}

  void add(std::int64_t piece, const Result& out) {
    const std::int64_t pieces = GatheredGradient::pieces(all_);
    const std::int64_t begin = all_.rows() * piece / pieces;
    const std::int64_t count = all_.rows() * (piece + 1) / pieces - begin;
    dy_.fill(count, RowFeed<T>(all_.dy, begin, 0, all_.dy.depth()));
    x_.fill(count, RowFeed<T>(all_.x, begin, first_, first_ + cols_), cols_);
    accumulator_.set_operands(dy_, x_);
    const auto add = [&](std::int64_t strip, std::int64_t column) {
      accumulator_.add(strip, x_.data() + column / 16 * x_.chunk_stride(), first_ + column,
                       std::min(kTileCols, cols_ - column), out);
    };
    // The smaller operand passes by the larger one's strips or panels.
    if (dy_.cols() > cols_) {
      for (std::int64_t strip = 0; strip < accumulator_.strips(); ++strip)
        for (std::int64_t column = 0; column < cols_; column += kTileCols) add(strip, column);
    } else {
      for (std::int64_t column = 0; column < cols_; column += kTileCols)
        for (std::int64_t strip = 0; strip < accumulator_.strips(); ++strip) add(strip, column);
    }
  }

 private:
  const Operands<T>& all_;
  std::int64_t first_, cols_;
  TransposedRows<T> dy_;
  PairedRows<T> x_;
  Accumulator<T> accumulator_;
};

// Columns from a padded copy: panels of 32 channels, all taps of each.
template <class T>
class CopiedGradient {
 public:
  static bool fits(const Operands<T>& all) { return PaddedLayout<T>::fits(all.x); }
  static std::int64_t panels(const Operands<T>& all) { return divide_up(all.x.channels, kTileCols); }
  // Bands that keep the copy small.
  static Band largest_band(const Operands<T>& all) {
    const PaddedLayout<T> one(all.x, 1, all.x.in_h, 0);
    const std::int64_t bytes = 2 * one.numbers() * 2;  // of both alignments
    if (bytes > copy_bytes()) {
      const std::int64_t bands = std::min(divide_up(bytes, copy_bytes()), all.x.out_h);
      return {0, 1, 0, divide_up(all.x.out_h, bands)};
    }
    return {0, std::clamp<std::int64_t>(copy_bytes() / bytes, 1, all.batch), 0, all.x.out_h};
  }
  static std::int64_t pieces(const Operands<T>& all) {
    const Band band = largest_band(all);
    return divide_up(all.batch, band.images) * divide_up(all.x.out_h, band.rows);
  }

  CopiedGradient(const Operands<T>& all, Range panels)
      : all_(all),
        panels_(panels),
        band_(largest_band(all)),
        layout_(all.x, band_.images, band_.rows, kBlockDepth),
        dy_(all.dy.channels, band_.rows * band_.images * layout_.width),
        even_(columns(), layout_.positions + kBlockDepth),
        odd_(columns(), layout_.positions + kBlockDepth) {}

  void add(std::int64_t piece, const Result& out) {
    const std::int64_t bands = divide_up(all_.x.out_h, band_.rows);
    Band band{
        .image = piece / bands * band_.images, .images = 0, .row = piece % bands * band_.rows, .rows = 0};
    band.images = std::min(band_.images, all_.batch - band.image);
    band.rows = std::min(band_.rows, all_.x.out_h - band.row);
    fill_dy(band);
    fill_x(band, 0, even_);
    fill_x(band, 1, odd_);
    accumulator_.set_operands(dy_, even_);  // odd_ lies as even_ does
    const auto taps_w = std::ssize(all_.x.taps_w);
    for (std::int64_t channel = 0; channel < channels(); channel += kTileCols)
      for (std::int64_t tap = 0; tap < std::ssize(all_.x.taps_h) * taps_w; ++tap) {
        const std::int64_t start =
            layout_.origin(band.images) +
            layout_.distance(all_.x.taps_h[static_cast<std::size_t>(tap / taps_w)],
                             all_.x.taps_w[static_cast<std::size_t>(tap % taps_w)], band.images);
        const auto& rows = start % 2 == 0 ? even_ : odd_;
        const bfloat16* const x = rows.data() + channel / 16 * rows.chunk_stride() + start / 2 * 32;
        for (std::int64_t strip = 0; strip < accumulator_.strips(); ++strip)
          accumulator_.add(strip, x, tap * all_.x.channels + first_channel() + channel,
                           std::min(kTileCols, channels() - channel), out);
      }
  }

 private:
  std::int64_t first_channel() const { return panels_.begin * kTileCols; }
  std::int64_t channels() const {
    return std::min(panels_.end * kTileCols, all_.x.channels) - first_channel();
  }
  std::int64_t columns() const { return (panels_.end - panels_.begin) * kTileCols; }

  // dy at the positions of the copy's lines, zeros in its padding.
  void fill_dy(const Band& band) {
    const auto& w = all_.dy;
    std::int64_t position = 0;
    dy_.fill(band.rows * band.images * layout_.width, [&](T*) -> const T* {
      const std::int64_t q = position % layout_.width;
      const std::int64_t n = band.image + position / layout_.width % band.images;
      const std::int64_t p = band.row + position / layout_.width / band.images;
      ++position;
      if (q >= w.in_w) return nullptr;
      return w.x + ((n * w.in_h + p) * w.in_w + q) * w.pixel_stride;
    });
  }

  // Position 2·pair + `from` is the first of a pair.
  void fill_x(const Band& band, std::int64_t from, PairedRows<T>& rows) {
    const auto& w = all_.x;
    std::int64_t at = from - layout_.pad;
    rows.fill(
        layout_.positions - from,
        [&](T*) -> const T* {
          const std::int64_t position = at++;
          if (position < 0) return nullptr;
          const std::int64_t q = position % layout_.width;
          const std::int64_t n = band.image + position / layout_.width % band.images;
          const std::int64_t h = band.row - layout_.top + position / layout_.width / band.images;
          if (q >= w.in_w || h < 0 || h >= w.in_h || h >= band.row + band.rows + layout_.bottom)
            return nullptr;
          return w.x + ((n * w.in_h + h) * w.in_w + q) * w.pixel_stride + first_channel();
        },
        channels());
  }

  const Operands<T>& all_;
  Range panels_;
  Band band_;
  PaddedLayout<T> layout_;
  TransposedRows<T> dy_;
  PairedRows<T> even_, odd_;
  Accumulator<T> accumulator_;
};

void sum_parts(const float* parts, std::int64_t count, std::int64_t out_channels, std::int64_t depth,
               const Result& out) {
  parallel_for(out_channels, (1 << 14) / depth + 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t o = begin; o < end; ++o)
      for (std::int64_t part = 0; part < count; ++part)
        row_sums<float>().add_row(depth, parts + (part * out_channels + o) * depth,
                                  out.data + o * out.stride);
  });
}

// How the sum is cut depends on the sizes and the processor's second-level cache only, so that the bits do
// not depend on the number of threads. `out` is full of zeros.
template <class Gradient, class T>
void add_gradient(const Operands<T>& all, const Result& out) {
  const std::int64_t depth = all.x.depth();
  const std::int64_t size = all.dy.channels * depth;
  const std::int64_t pieces = Gradient::pieces(all);
  const std::int64_t panels = Gradient::panels(all);
  const std::int64_t parts = std::min(kMaxParts, pieces);
  if (size > kMaxPartialSize || parts < 2) {
    const std::int64_t tasks = kDearTasks * num_threads();
    if (all.dy.channels <= depth) {
      parallel_ranges(panels, tasks, [&](std::int64_t first, std::int64_t last) {
        Gradient gradient(all, {first, last});
        for (std::int64_t piece = 0; piece < pieces; ++piece) gradient.add(piece, out);
      });
    } else {
      // Each task packs all of the narrower operand.
      parallel_ranges(divide_up(all.dy.channels, kMaxTileHeight), tasks,
                      [&](std::int64_t first, std::int64_t last) {
                        const std::int64_t begin = first * kMaxTileHeight;
                        Operands<T> some = all;
                        some.dy.x += begin;
                        some.dy.channels = std::min(last * kMaxTileHeight, all.dy.channels) - begin;
                        Gradient gradient(some, {0, panels});
                        for (std::int64_t piece = 0; piece < pieces; ++piece)
                          gradient.add(piece, {out.data + begin * out.stride, out.stride});
                      });
    }
    return;
  }
  Tensor partial = Tensor::zeros({parts, size}, {DType::float32, {}});
  auto* const values = partial.data<float>();
  parallel_items(parts, [&](Items& items) {
    Gradient gradient(all, {0, panels});
    for (std::int64_t part = 0; items.take(part);)
      for (std::int64_t piece = pieces * part / parts; piece < pieces * (part + 1) / parts; ++piece)
        gradient.add(piece, {values + part * size, depth});
  });
  sum_parts(values, parts, all.dy.channels, depth, out);
}

}  // namespace

template <class T>
void conv2d_backward_weight_tiles(const Conv2dSizes& z, const T* dy, const T* x, float* dweight) {
  const std::int64_t depth = z.kernel_h * z.kernel_w * z.group_in();
  std::fill_n(dweight, z.out_channels * depth, 0.0F);
  if (z.out_rows() == 0) return;
  for (std::int64_t g = 0; g < z.params.groups; ++g) {
    const Operands<T> all{.dy = {.x = dy + g * z.group_out(),
                                 .in_h = z.out_h,
                                 .in_w = z.out_w,
                                 .channels = z.group_out(),
                                 .pixel_stride = z.out_channels,
                                 .out_h = z.out_h,
                                 .out_w = z.out_w,
                                 .step = 1,
                                 .taps_h = {0},
                                 .taps_w = {0}},
                          .x = forward_windows(z, x, g),
                          .batch = z.batch};
    const Result out{dweight + g * z.group_out() * depth, depth};
    if (CopiedGradient<T>::fits(all))
      add_gradient<CopiedGradient<T>>(all, out);
    else
      add_gradient<GatheredGradient<T>>(all, out);
  }
}

template void conv2d_backward_weight_tiles<bfloat16>(const Conv2dSizes&, const bfloat16*, const bfloat16*,
                                                     float*);
template void conv2d_backward_weight_tiles<float>(const Conv2dSizes&, const float*, const float*, float*);

}  // namespace dcl::tensor::cpu
