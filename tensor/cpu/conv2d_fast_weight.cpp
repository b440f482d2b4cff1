// dweight[o,k] = sum_m dy[m,o] · im2col(x)[m,k]: both operands are packed from their rows as they lie, in
// blocks of at most kMaxDepth rows m, and nothing is transposed.
#include <algorithm>
#include <array>

#include "tensor/cpu/border.h"
#include "tensor/cpu/conv2d_fast.h"
#include "tensor/cpu/im2col.h"
#include "tensor/cpu/multiply_tile.h"
#include "tensor/cpu/prefetch.h"
#include "tensor/cpu/ranges.h"
#include "tensor/cpu/threads.h"

namespace dcl::tensor::cpu {

namespace {

// Panels of im2col(x) packed at a time: 12 x 32 columns x 384 rows of floats are 576 KiB of second-level
// cache, and as many channels of dy (a strip's 13 take up 16) 480 KiB.
constexpr std::int64_t kPanelsAtOnce = 12;
constexpr std::int64_t kChannelsAtOnce = 260;
// Rows of up to this many numbers are multiplied where they lie; longer ones fall on too few cache sets.
constexpr std::int64_t kMaxStrideInPlace = 256;
// A gradient of up to this many numbers is summed in parts, one a range of rows; a larger one is shared out
// by groups of channels and columns.
constexpr std::int64_t kMaxPartialSize = 1 << 17;
constexpr std::int64_t kMaxParts = 16;
constexpr std::int64_t kMaxPartsSize = 1 << 20;  // of all parts

// Up to this share of live taps it pays to pack dy anew for each of them (measured; 7x7 pixels under 3x3 have
// 0.82).
constexpr double kMaxLiveShare = 0.83;

// Row m of both is an output pixel.
template <class T>
struct Operands {
  Windows<T> dy;  // one tap: the pixel itself
  Windows<T> x;
  std::int64_t rows;

  std::int64_t out_channels() const { return dy.channels; }
};

// How the gradient is cut: groups of strips of out_channels times groups of panels of im2col(x)'s columns,
// each of which packs its part of either operand for itself.
template <class T>
struct GradientGrid {
  std::int64_t strips, panels;
  std::int64_t strip_groups, panel_groups;

  /// `least` groups, if there are so many strips and panels.
  GradientGrid(std::int64_t out_channels, std::int64_t depth, std::int64_t least) {
    const auto& kernel = microkernel<T>();
    strips = divide_up(out_channels, kernel.narrow_rows);
    panels = divide_up(depth, kernel.cols);
    strip_groups = divide_up(strips, kChannelsAtOnce / kernel.narrow_rows);
    panel_groups = divide_up(panels, kPanelsAtOnce);
    while (size() < std::min(least, strips * panels)) {
      const bool taller = out_channels * panel_groups >= depth * strip_groups;
      ++(strip_groups < strips && (taller || panel_groups == panels) ? strip_groups : panel_groups);
    }
  }
  std::int64_t size() const { return strip_groups * panel_groups; }
  Range strips_of(std::int64_t group) const {
    group %= strip_groups;
    return {strips * group / strip_groups, strips * (group + 1) / strip_groups};
  }
  Range panels_of(std::int64_t group) const {
    group /= strip_groups;
    return {panels * group / panel_groups, panels * (group + 1) / panel_groups};
  }
};

// Where the gradient goes: element (o,k) to data[o·stride + k].
template <class T>
struct Result {
  T* data;
  std::int64_t stride;
};

// One thread's share: the sum over a range of rows m, of a range of channels o and one of columns k.
template <class T>
class PartialGradient {
 public:
  explicit PartialGradient(const Operands<T>& operands)
      : operands_(operands),
        dy_row_(Tensor::zeros({kChannelsAtOnce + kernel_.narrow_stride}, options)),
        dy_panels_(Tensor::empty({kChannelsAtOnce / kernel_.narrow_rows, kMaxDepth, kernel_.narrow_stride},
                                 options)),
        x_row_(Tensor::zeros({kPanelsAtOnce * kernel_.cols}, options)),
        x_panels_(Tensor::empty({kPanelsAtOnce, kMaxDepth, kernel_.cols}, options)),
        zeros_(Tensor::zeros({kernel_.cols}, options)),
        zeros_data_(zeros_.template data<T>()) {}

  /// Overwrites a group's part of `out`.
  void run(Range rows, Range strips, Range panels, const Result<T>& out) {
    const std::int64_t blocks = std::max<std::int64_t>(1, divide_up(rows.end - rows.begin, kMaxDepth));
    for (std::int64_t block = 0; block < blocks; ++block) {
      const Range m{rows.begin + (rows.end - rows.begin) * block / blocks,
                    rows.begin + (rows.end - rows.begin) * (block + 1) / blocks};
      multiply({pack_dy(m, strips), strips}, {pack_x(m, panels), panels}, m.end - m.begin, block == 0, out);
    }
  }

 private:
  static constexpr TensorOptions options{dtype_of<T>, {}};

  // A tile's operand: element (p,i) of chunk j lies at data[j·chunk_stride + p·stride + i].
  struct Chunks {
    const T* data;
    std::int64_t stride, chunk_stride;
  };

  // Those of a range of strips or panels.
  struct Group {
    Chunks chunks;
    Range range;
    const T* at(std::int64_t j) const { return chunks.data + (j - range.begin) * chunks.chunk_stride; }
  };

  // Asks for what is packed some rows later, where rows are pixels: some columns of each of them are no
  // stream to the processor.
  class RowsAhead {
   public:
    RowsAhead(const Windows<T>& w, std::int64_t begin, std::int64_t end)
        : next_(w.plain_rows() ? w.x + kRows * w.pixel_stride + begin : nullptr),
          stride_(w.pixel_stride),
          count_(end - begin) {}
    void ask(std::int64_t row) const {
      if (next_ != nullptr) prefetch_to_l2(next_ + row * stride_, count_);
    }

   private:
    static constexpr std::int64_t kRows = 16;
    const T* next_;
    std::int64_t stride_, count_;
  };

  // Chunks reach over the end of a row, but not over the end of the next one.
  bool may_stay(Range m, std::int64_t stride) const {
    return m.end < operands_.rows && stride >= kMaxTileCols && stride <= kMaxStrideInPlace;
  }

  Chunks pack_dy(Range m, Range strips) {
    const auto& windows = operands_.dy;
    const std::int64_t begin = strips.begin * kernel_.narrow_rows;
    if (windows.plain_rows() && may_stay(m, windows.pixel_stride))
      return {windows.x + m.begin * windows.pixel_stride + begin, windows.pixel_stride, kernel_.narrow_rows};
    T* const row = dy_row_.template data<T>();
    T* out = dy_panels_.template data<T>();
    const Chunks packed{out, kernel_.narrow_stride, kMaxDepth * kernel_.narrow_stride};
    const std::int64_t end = std::min(strips.end * kernel_.narrow_rows, windows.depth());
    WindowReader<T> reader(windows, m.begin, begin, end);
    const RowsAhead ahead(windows, begin, end);
    for (std::int64_t i = m.begin; i < m.end; ++i, out += packed.stride) {
      ahead.ask(i);
      reader.read(row);
      kernel_.scatter_row(row, strips.end - strips.begin, kernel_.narrow_rows, kernel_.narrow_stride, out,
                          packed.chunk_stride);
    }
    return packed;
  }

  Chunks pack_x(Range m, Range panels) {
    const std::int64_t cols = kernel_.cols;
    const std::int64_t begin = panels.begin * cols;
    const auto& windows = operands_.x;
    // Where they lie, the rows of a panel would not fit into the first-level cache's sets.
    if (!by_panels_ && windows.plain_rows() && may_stay(m, windows.pixel_stride))
      return {windows.x + m.begin * windows.pixel_stride + begin, windows.pixel_stride, cols};
    const Chunks packed{x_panels_.template data<T>(), cols, kMaxDepth * cols};
    T* const row = x_row_.template data<T>();
    T* out = x_panels_.template data<T>();
    const std::int64_t end = std::min(panels.end * cols, windows.depth());
    WindowReader<T> reader(windows, m.begin, begin, end);
    const RowsAhead ahead(windows, begin, end);
    const bool whole_chunks = windows.channels % cols == 0;
    for (std::int64_t i = m.begin; i < m.end; ++i, out += cols) {
      ahead.ask(i);
      if (whole_chunks) {
        reader.visit([&](std::int64_t column, std::int64_t count, const T* source) {
          kernel_.scatter_row(source == nullptr ? zeros_data_ : source, count / cols,
                              source == nullptr ? 0 : cols, cols, out + column / cols * packed.chunk_stride,
                              packed.chunk_stride);
        });
      } else {
        reader.read(row);
        kernel_.scatter_row(row, panels.end - panels.begin, cols, cols, out, packed.chunk_stride);
      }
    }
    return packed;
  }

  void multiply(const Group& dy, const Group& x, std::int64_t rows, bool overwrite, const Result<T>& out) {
    const std::int64_t depth = operands_.x.depth();
    const auto tile = [&](std::int64_t strip, std::int64_t panel) {
      const std::int64_t o = strip * kernel_.narrow_rows;
      const std::int64_t column = panel * kernel_.cols;
      const TileSizes sizes{.tile_rows = kernel_.narrow_rows,
                            .tile_cols = kernel_.cols,
                            .rows = std::min(kernel_.narrow_rows, operands_.out_channels() - o),
                            .cols = std::min(kernel_.cols, depth - column)};
      std::array<T*, kMaxTileRows> y;
      for (std::int64_t i = 0; i < sizes.rows; ++i) {
        y[static_cast<std::size_t>(i)] = out.data + (o + i) * out.stride + column;
        prefetch_to_write(y[static_cast<std::size_t>(i)], sizes.cols);
      }
      on_tile<T>(sizes, !overwrite, y.data(), [&](T* const* y_rows) {
        kernel_.run_columns(dy.at(strip), dy.chunks.stride, x.at(panel), x.chunks.stride, rows,
                            overwrite ? zeros_data_ : nullptr, y_rows);
      });
    };
    if (by_panels_) {
      for (std::int64_t panel = x.range.begin; panel < x.range.end; ++panel)
        for (std::int64_t strip = dy.range.begin; strip < dy.range.end; ++strip) tile(strip, panel);
    } else {
      for (std::int64_t strip = dy.range.begin; strip < dy.range.end; ++strip)
        for (std::int64_t panel = x.range.begin; panel < x.range.end; ++panel) tile(strip, panel);
    }
  }

  const Microkernel<T>& kernel_ = microkernel<T>();
  const bool by_panels_ = kernel_.panel_stays_in_l1();
  const Operands<T>& operands_;
  Tensor dy_row_, dy_panels_, x_row_, x_panels_, zeros_;
  const T* zeros_data_;
};

// Element (o,k) of the sum of the parts [count][out_channels][depth].
template <class T>
void sum_parts(const T* parts, std::int64_t count, std::int64_t out_channels, std::int64_t depth,
               const Result<T>& out) {
  parallel_for(out_channels, (1 << 14) / depth + 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t o = begin; o < end; ++o) {
      T* const row = out.data + o * out.stride;
      std::copy_n(parts + o * depth, depth, row);
      for (std::int64_t part = 1; part < count; ++part)
        for (std::int64_t k = 0; k < depth; ++k) row[k] += parts[(part * out_channels + o) * depth + k];
    }
  });
}

// How the sum is cut depends on the sizes only, so that the bits do not depend on the number of threads.
template <class T>
void weight_gradient(const Operands<T>& operands, const Result<T>& out) {
  const std::int64_t rows = operands.rows;
  const std::int64_t depth = operands.x.depth();
  const std::int64_t size = operands.out_channels() * depth;
  const std::int64_t parts = std::min({kMaxParts, rows / (2 * kMaxDepth), kMaxPartsSize / size});
  if (size > kMaxPartialSize || parts < 2) {
    const GradientGrid<T> grid(operands.out_channels(), depth, dear_tasks());
    parallel_items(grid.size(), [&](Items& items) {
      PartialGradient<T> gradient(operands);
      for (std::int64_t group = 0; items.take(group);)
        gradient.run({0, rows}, grid.strips_of(group), grid.panels_of(group), out);
    });
    return;
  }
  const GradientGrid<T> grid(operands.out_channels(), depth, 1);
  Tensor partial = Tensor::empty({parts, size}, {dtype_of<T>, {}});
  T* const values = partial.data<T>();
  parallel_items(parts, [&](Items& items) {
    PartialGradient<T> gradient(operands);
    for (std::int64_t part = 0; items.take(part);)
      for (std::int64_t group = 0; group < grid.size(); ++group)
        gradient.run({rows * part / parts, rows * (part + 1) / parts}, grid.strips_of(group),
                     grid.panels_of(group), {values + part * size, depth});
  });
  sum_parts(values, parts, operands.out_channels(), depth, out);
}

// Tap by tap, over the output pixels at which the tap reads inside the picture.
template <class T>
void weight_gradient_by_taps(const Operands<T>& all, std::int64_t batch, const Result<T>& out) {
  for (std::size_t r = 0; r < all.x.taps_h.size(); ++r)
    for (std::size_t s = 0; s < all.x.taps_w.size(); ++s) {
      const auto [p_begin, p_end] = live_positions(all.x.taps_h[r], all.x.step, all.x.in_h, all.x.out_h);
      const auto [q_begin, q_end] = live_positions(all.x.taps_w[s], all.x.step, all.x.in_w, all.x.out_w);
      Operands<T> tap = all;
      tap.x.out_h = tap.dy.out_h = p_end - p_begin;
      tap.x.out_w = tap.dy.out_w = q_end - q_begin;
      tap.x.taps_h = {all.x.taps_h[r] + p_begin * all.x.step};
      tap.x.taps_w = {all.x.taps_w[s] + q_begin * all.x.step};
      tap.dy.taps_h = {p_begin};
      tap.dy.taps_w = {q_begin};
      tap.rows = batch * tap.x.out_h * tap.x.out_w;
      const std::size_t column = (r * all.x.taps_w.size() + s) * static_cast<std::size_t>(all.x.channels);
      weight_gradient<T>(tap, {out.data + column, out.stride});
    }
}

}  // namespace

template <class T>
void conv2d_backward_weight_fast(const Conv2dSizes& z, const T* dy, const T* x, T* dweight) {
  for (std::int64_t g = 0; g < z.params.groups; ++g) {
    const Operands<T> operands{
        .dy = output_pixels(z, dy, g), .x = forward_windows(z, x, g), .rows = z.out_rows()};
    const std::int64_t depth = operands.x.depth();
    const Result<T> out{dweight + g * z.group_out() * depth, depth};
    if (operands.x.channels >= kMinTapChannels && live_share(operands.x) <= kMaxLiveShare) {
      weight_gradient_by_taps(operands, z.batch, out);
    } else {
      weight_gradient(operands, out);
    }
  }
}

template void conv2d_backward_weight_fast<float>(const Conv2dSizes&, const float*, const float*, float*);
template void conv2d_backward_weight_fast<double>(const Conv2dSizes&, const double*, const double*, double*);

}  // namespace dcl::tensor::cpu
