#include "tensor/cpu/window_product.h"

#include <array>

#include "tensor/cpu/multiply_tile.h"
#include "tensor/cpu/threads.h"

namespace dcl::tensor::cpu {

namespace {

std::int64_t divide_up(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

// Rows gathered at a time: 112 x 336 floats are 147 KiB, which stay in the second-level cache beside a panel
// of b.
constexpr std::int64_t kTileRows = 112;
// A right operand of up to this many numbers stays in the second-level cache by itself.
constexpr std::int64_t kSmallOperand = 96 << 10;

}  // namespace

template <class T>
PackedMatrix<T>::PackedMatrix(std::int64_t depth, std::int64_t cols, std::int64_t unit)
    : depth_(depth),
      cols_(cols),
      unit_(unit),
      panels_(divide_up(cols, microkernel<T>().cols)),
      pieces_(std::max<std::int64_t>(1, divide_up(unit, kMaxDepth))),
      blocks_(unit > 0 ? depth / unit * pieces_ : 1),
      storage_(Tensor::empty({depth, panels_ * microkernel<T>().cols}, {dtype_of<T>, {}})),
      values_(storage_.template data<T>()) {}

template <class T>
PackedMatrix<T>::PackedMatrix(std::int64_t depth, std::int64_t cols, std::int64_t unit, const FillRow& fill)
    : PackedMatrix(depth, cols, unit) {
  const std::int64_t width = microkernel<T>().cols;
  parallel_for(depth, 32, [&](std::int64_t first, std::int64_t last) {
    Tensor row = Tensor::zeros({panels_ * width}, {dtype_of<T>, {}});
    for (std::int64_t block = 0; block < blocks_; ++block) {
      const std::int64_t block_depth = begin(block + 1) - begin(block);
      T* const block_values = values_ + begin(block) * panels_ * width;
      for (std::int64_t p = std::max(first, begin(block)); p < std::min(last, begin(block + 1)); ++p) {
        fill(p, row.data<T>());
        microkernel<T>().scatter_row(row.data<T>(), panels_, width, width,
                                     block_values + (p - begin(block)) * width, block_depth * width);
      }
    }
  });
}

template <class T>
PackedMatrix<T> PackedMatrix<T>::from_transposed(std::int64_t depth, std::int64_t cols, std::int64_t unit,
                                                 const T* transposed) {
  PackedMatrix result(depth, cols, unit);
  const std::int64_t width = microkernel<T>().cols;
  parallel_for(result.panels_, 1, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t panel = first; panel < last; ++panel)
      for (std::int64_t block = 0; block < result.blocks_; ++block) {
        const std::int64_t begin = result.begin(block);
        const std::int64_t end = result.begin(block + 1);
        T* const out = const_cast<T*>(result.panel(block, panel));
        const std::int64_t filled = std::min(width, cols - panel * width);
        // 16 numbers of each column at a time: the lines that are written stay in the first-level cache.
        for (std::int64_t p = begin; p < end; p += 16) {
          const std::int64_t count = std::min<std::int64_t>(16, end - p);
          for (std::int64_t j = 0; j < filled; ++j) {
            const T* const column = transposed + (panel * width + j) * depth + p;
            for (std::int64_t i = 0; i < count; ++i) out[(p - begin + i) * width + j] = column[i];
          }
          for (std::int64_t i = 0; i < count; ++i)
            std::fill_n(out + (p - begin + i) * width + filled, width - filled, T(0));
        }
      }
  });
  return result;
}

template <class T>
const T* PackedMatrix<T>::panel(std::int64_t block, std::int64_t panel) const {
  const std::int64_t width = microkernel<T>().cols;
  return values_ + (begin(block) * panels_ + panel * (begin(block + 1) - begin(block))) * width;
}

namespace {

// One thread's share of a product.
template <class T>
class TileProduct {
 public:
  TileProduct(const Windows<T>& windows, const PackedMatrix<T>& b, const T* padded_bias,
              const RowGrid<T>& grid)
      : windows_(windows),
        b_(b),
        bias_(padded_bias),
        grid_(grid),
        storage_(Tensor::empty({kTileRows + kMaxTileRows, kPackedStride}, {dtype_of<T>, {}})),
        packed_(storage_.template data<T>()) {}

  /// Rows [begin, begin + count), count <= kTileRows + kMaxTileRows, columns of panels [first, last).
  void run(std::int64_t begin, std::int64_t count, std::int64_t first, std::int64_t last) {
    locate_rows(begin, count);
    written_.fill(false);
    for (std::int64_t block = 0; block < b_.blocks(); ++block) {
      const bool last_block = block + 1 == b_.blocks();
      const std::int64_t depth = b_.begin(block + 1) - b_.begin(block);
      WindowReader<T> reader(windows_, begin, b_.begin(block), b_.begin(block + 1));
      const bool small = (last - first) * depth * kernel_.cols <= kSmallOperand;
      // One strip of rows at a time, in the first-level cache, against all of b in the second; or all strips,
      // in the second, against one panel.
      const std::int64_t step = small ? kernel_.rows : count;
      for (std::int64_t from = 0; from < count; from += step) {
        const std::int64_t to = std::min(from + step, count);
        for (std::int64_t i = from; i < to; i += kernel_.rows)
          pack_strip(reader, i, std::min(i + kernel_.rows, to));
        for (std::int64_t panel = first; panel < last; ++panel)
          for (std::int64_t i = from; i < to; i += kernel_.rows)
            if (live_[at(i)] || (last_block && !written_[at(i)])) multiply(i, count, block, panel);
        for (std::int64_t i = from; i < to; i += kernel_.rows)
          written_[at(i)] = written_[at(i)] || live_[at(i)];
      }
    }
  }

 private:
  static std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }

  void locate_rows(std::int64_t begin, std::int64_t count) {
    RowCursor<T> cursor(windows_, begin);
    for (std::int64_t i = 0; i < count; ++i, cursor.advance()) {
      const auto& [n, p, q] = cursor.at();
      y_rows_[at(i)] = grid_.y + n * grid_.image_stride + p * grid_.row_stride + q * grid_.pixel_stride;
    }
  }

  void pack_strip(WindowReader<T>& reader, std::int64_t from, std::int64_t to) {
    bool live = false;
    for (std::int64_t i = from; i < to; ++i) live = reader.read(packed_ + i * kPackedStride) || live;
    live_[at(from)] = live;
  }

  // The strip of rows that starts at row i of the tile. The surplus rows of the last strip are products of
  // whatever lies behind the packed rows; nobody reads them.
  void multiply(std::int64_t i, std::int64_t count, std::int64_t block, std::int64_t panel) {
    const std::int64_t column = panel * kernel_.cols;
    const TileSizes sizes{.tile_rows = kernel_.rows,
                          .tile_cols = kernel_.cols,
                          .rows = std::min(kernel_.rows, count - i),
                          .cols = std::min(kernel_.cols, b_.cols() - column)};
    std::array<T*, kMaxTileRows> y;
    for (std::int64_t j = 0; j < sizes.rows; ++j) y[at(j)] = y_rows_[at(i + j)] + column;
    const T* const bias = written_[at(i)] ? nullptr : bias_ + column;
    on_tile<T>(sizes, bias == nullptr, y.data(), [&](T* const* rows) {
      kernel_.run_rows(packed_ + i * kPackedStride, kPackedStride, b_.panel(block, panel),
                       b_.begin(block + 1) - b_.begin(block), bias, rows);
    });
  }

  const Microkernel<T>& kernel_ = microkernel<T>();
  const Windows<T>& windows_;
  const PackedMatrix<T>& b_;
  const T* bias_;
  const RowGrid<T>& grid_;
  Tensor storage_;
  T* packed_;
  std::array<T*, kTileRows + kMaxTileRows> y_rows_{};
  // Of the strip that starts at a row: does the block have pixels of the picture for it, and has it been
  // written.
  std::array<bool, kTileRows + kMaxTileRows> live_{}, written_{};
};

// A product of no terms: positions of an input gradient that no output has read.
template <class T>
void fill_zeros(const Windows<T>& windows, std::int64_t rows, std::int64_t cols, const RowGrid<T>& grid) {
  parallel_for(rows / windows.out_w, (1 << 14) / (windows.out_w * cols) + 1,
               [&](std::int64_t begin, std::int64_t end) {
                 for (std::int64_t line = begin; line < end; ++line) {
                   T* const y = grid.y + line / windows.out_h * grid.image_stride +
                                line % windows.out_h * grid.row_stride;
                   for (std::int64_t q = 0; q < windows.out_w; ++q)
                     std::fill_n(y + q * grid.pixel_stride, cols, T(0));
                 }
               });
}

}  // namespace

template <class T>
void window_product(const Windows<T>& windows, std::int64_t rows, const PackedMatrix<T>& b, const T* bias,
                    const RowGrid<T>& grid) {
  const auto& kernel = microkernel<T>();
  if (b.depth() == 0 && bias == nullptr) return fill_zeros(windows, rows, b.cols(), grid);
  Tensor padded_bias = Tensor::zeros({b.panels() * kernel.cols}, {dtype_of<T>, {}});
  if (bias != nullptr) std::copy_n(bias, b.cols(), padded_bias.data<T>());

  // Tasks are tiles of rows; where there are fewer than threads, tiles times groups of panels.
  const std::int64_t threads = num_threads();
  const std::int64_t strips = divide_up(rows, kernel.rows);
  const std::int64_t wanted = divide_up(divide_up(rows, kTileRows), threads) * threads;
  const std::int64_t tiles = std::min(strips, wanted);
  const std::int64_t groups = std::min(b.panels(), divide_up(threads, std::max<std::int64_t>(tiles, 1)));
  parallel_for(tiles * groups, 1, [&](std::int64_t first, std::int64_t last) {
    TileProduct<T> product(windows, b, padded_bias.data<T>(), grid);
    for (std::int64_t task = first; task < last; ++task) {
      const std::int64_t tile = task / groups;
      const std::int64_t group = task % groups;
      const std::int64_t begin = strips * tile / tiles * kernel.rows;
      const std::int64_t end = std::min(rows, strips * (tile + 1) / tiles * kernel.rows);
      product.run(begin, end - begin, b.panels() * group / groups, b.panels() * (group + 1) / groups);
    }
  });
}

template class PackedMatrix<float>;
template class PackedMatrix<double>;
template void window_product<float>(const Windows<float>&, std::int64_t, const PackedMatrix<float>&,
                                    const float*, const RowGrid<float>&);
template void window_product<double>(const Windows<double>&, std::int64_t, const PackedMatrix<double>&,
                                     const double*, const RowGrid<double>&);

}  // namespace dcl::tensor::cpu
