#include "tensor/cpu/window_product.h"

#include <array>
#include <utility>

#include "tensor/cpu/multiply_tile.h"
#include "tensor/cpu/prefetch.h"
#include "tensor/cpu/ranges.h"
#include "tensor/cpu/streaming.h"
#include "tensor/cpu/threads.h"

namespace dcl::tensor::cpu {

namespace {

// Rows gathered at a time: 112 x 400 floats are 175 KiB, which stay in the second-level cache beside a panel
// of b.
constexpr std::int64_t kTileRows = 112;
constexpr std::int64_t kMostRows = kTileRows + kMaxTileRows;  // kTileRows in whole strips
constexpr std::int64_t kAskedRows = 64;  // of columns too many for the processor to expect the next access
constexpr std::int64_t kAskedChannels = 16;  // windows of fewer overlap, so that their numbers are there

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
    for (std::int64_t panel = first; panel < last; ++panel) {
      const T* const columns = transposed + panel * width * depth;
      const std::int64_t count = std::min(width, cols - panel * width);
      for (std::int64_t block = 0; block < result.blocks_; ++block) {
        const std::int64_t begin = result.begin(block);
        const std::int64_t end = result.begin(block + 1);
        auto* const packed = const_cast<T*>(result.panel(block, panel));
        for (std::int64_t p = begin; p < end; p += kAskedRows) {
          const std::int64_t rows = std::min(kAskedRows, end - p);
          for (std::int64_t j = 0; j < count; ++j)
            prefetch_to_l2(columns + j * depth + p + rows, std::min(kAskedRows, depth - p - rows));
          microkernel<T>().pack_columns(columns + p, depth, count, rows, packed + (p - begin) * width);
        }
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

// Strip k of the rows, of about the same height each and at most the microkernel's: the same for any number
// of threads.
struct StripGrid {
  std::int64_t rows, strips;
  std::int64_t begin(std::int64_t k) const { return rows * k / strips; }
};

struct StripRange {
  StripGrid grid;
  std::int64_t begin, end;
};

// One thread's share of a product.
template <class T>
class TileProduct {
 public:
  TileProduct(const Windows<T>& windows, const PackedMatrix<T>& b, const Epilogue<T>& padded_epilogue,
              const RowGrid<T>& grid)
      : windows_(windows),
        b_(b),
        epilogue_(padded_epilogue),
        grid_(grid),
        storage_(Tensor::empty({kMostRows, kPackedStride}, {dtype_of<T>, {}})),
        packed_(storage_.template data<T>()) {}

  ~TileProduct() {
    if (streams_) flush_streams();
  }
  TileProduct(const TileProduct&) = delete;
  TileProduct& operator=(const TileProduct&) = delete;

  /// The part of the epilogue's moments that rows are in from then on.
  void begin_part(std::int64_t part) {
    part_ = part;
    strips_before_ = 0;
  }

  /// Strips [tile.begin, tile.end) of rows, columns of panels [first, last).
  void run(const StripRange& tile, std::int64_t first, std::int64_t last) {
    const std::int64_t begin = tile.grid.begin(tile.begin);
    const std::int64_t strips = tile.end - tile.begin;
    const auto strip = [&](std::int64_t i) {
      return Strip{i, tile.grid.begin(tile.begin + i) - begin, tile.grid.begin(tile.begin + i + 1) - begin};
    };
    begin_ = begin;
    rows_ = tile.grid.begin(tile.end) - begin;
    locate_rows(begin, rows_);
    written_.fill(grid_.add);
    for (std::int64_t block = 0; block < b_.blocks(); ++block) {
      const bool last_block = block + 1 == b_.blocks();
      const std::int64_t depth = b_.begin(block + 1) - b_.begin(block);
      WindowReader<T> reader(windows_, begin, b_.begin(block), b_.begin(block + 1));
      const bool by_strips =
          !kernel_.panel_stays_in_l1() && (last - first) * depth * kernel_.cols <= kRightOperand;
      // One strip of rows at a time, in the first-level cache, against all of b in the second; or all strips,
      // in the second, against one panel.
      const std::int64_t step = by_strips ? 1 : strips;
      Ahead ahead(*this, block, strip(0).to);
      for (std::int64_t from = 0; from < strips; from += step) {
        const std::int64_t to = from + step;
        for (std::int64_t i = from; i < to; ++i) pack(reader, strip(i));
        for (std::int64_t panel = first; panel < last; ++panel)
          for (std::int64_t i = from; i < to; ++i) {
            if (in_place_ || by_strips)
              ahead.ask(strip(i), share_ahead(strip(i).to - strip(i).from, {first, last}, panel, by_strips));
            if (live_[at(i)] || (last_block && (!written_[at(i)] || ends_later())))
              multiply(strip(i), block, panel, last_block);
          }
        for (std::int64_t i = from; i < to; ++i) written_[at(i)] = written_[at(i)] || live_[at(i)];
      }
    }
    strips_before_ += strips;
  }

 private:
  // Rows [from, to) of the tile.
  struct Strip {
    std::int64_t index, from, to;
  };

  static std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }
  static bool whole_lines(std::int64_t stride) {
    return stride * static_cast<std::int64_t>(sizeof(T)) % 64 == 0;
  }
  // True when something is left to do after the last sum.
  bool ends_later() const {
    return epilogue_.residual != nullptr || epilogue_.relu || epilogue_.moments != nullptr;
  }

  void locate_rows(std::int64_t begin, std::int64_t count) {
    RowCursor<T> cursor(windows_, begin);
    for (std::int64_t i = 0; i < count; ++i, cursor.advance()) {
      const auto& [n, p, q] = cursor.at();
      offsets_[at(i)] = n * grid_.image_stride + p * grid_.row_stride + q * grid_.pixel_stride;
    }
  }

  void pack(WindowReader<T>& reader, const Strip& strip) {
    if (in_place_) {
      live_[at(strip.index)] = true;
      return;
    }
    bool live = false;
    for (std::int64_t i = strip.from; i < strip.to; ++i)
      live = reader.read(packed_ + i * kPackedStride) || live;
    live_[at(strip.index)] = live;
  }

  void multiply(const Strip& strip, std::int64_t block, std::int64_t panel, bool last_block) {
    const std::int64_t rows = strip.to - strip.from;
    const std::int64_t column = panel * kernel_.cols;
    const TileSizes sizes{.tile_rows = rows,
                          .tile_cols = kernel_.cols,
                          .rows = rows,
                          .cols = std::min(kernel_.cols, b_.cols() - column)};
    std::array<T*, kMaxTileRows> y;
    for (std::int64_t i = 0; i < rows; ++i) y[at(i)] = grid_.y + offsets_[at(strip.from + i)] + column;
    TileEnd<T> end{.bias = written_[at(strip.index)] ? nullptr : epilogue_.bias + column};
    end.stream = streams_ && sizes.cols == kernel_.cols && begins_line(y[0]);
    prefetch(strip, column, !end.stream, last_block && epilogue_.residual != nullptr);
    ResidualTile residual;
    if (last_block) {
      end.relu = epilogue_.relu;
      if (epilogue_.residual != nullptr) end.residual = residual.rows(*this, strip, column, sizes.cols);
    }
    // What has been written and lacks only its end takes a sum of no terms.
    const std::int64_t depth = live_[at(strip.index)] ? b_.begin(block + 1) - b_.begin(block) : 0;
    const T* const a = in_place_
                           ? windows_.x + (begin_ + strip.from) * windows_.pixel_stride + b_.begin(block)
                           : packed_ + strip.from * kPackedStride;
    const auto run = [&](T* const* all) {
      kernel_.run_rows[at(rows)](a, in_place_ ? windows_.pixel_stride : kPackedStride, b_.panel(block, panel),
                                 depth, end, all);
    };
    if (!last_block || epilogue_.moments == nullptr)
      on_tile<T>(sizes, end.bias == nullptr, y.data(), run);
    else
      add_moments(strip, column, sizes, std::exchange(end.stream, false), end.bias == nullptr, y.data(), run);
  }

  // A tile that goes to y by way of the sums.
  template <class Run>
  void add_moments(const Strip& strip, std::int64_t column, const TileSizes& sizes, bool stream, bool add,
                   T* const* y, const Run& run) const {
    SpareTile<T> spare(sizes.rows, kernel_.cols);
    if (add) spare.load(sizes.rows, sizes.cols, y);
    run(spare.rows());
    epilogue_.moments->add(part_, strips_before_ + strip.index, epilogue_.first_channel + column,
                           TileRows<T>{spare.rows(), sizes.rows, sizes.cols, y, stream});
  }

  // What some rows of the strip behind this one read: rows that are read beside each other, and windows that
  // are read piece by piece, look to the processor like no stream. Windows are asked for in their order.
  class Ahead {
   public:
    Ahead(const TileProduct& of, std::int64_t block, std::int64_t row)
        : of_(of),
          columns_{of.b_.begin(block), of.b_.begin(block + 1)},
          next_(row),
          reader_(of.windows_, of.begin_ + std::min(row, of.rows_ - 1), columns_.begin, columns_.end) {}

    void ask(const Strip& strip, Range share) {
      const auto& w = of_.windows_;
      const std::int64_t last = strip.to + share.end;
      if (of_.plain_rows_) {
        for (std::int64_t i = strip.to + share.begin; i < last; ++i)
          prefetch_to_l2(w.x + (of_.begin_ + i) * w.pixel_stride + columns_.begin, columns_.size());
        return;
      }
      if (w.channels < kAskedChannels) return;
      for (; next_ < std::min(last, of_.rows_); ++next_)
        reader_.visit([](std::int64_t, std::int64_t count, const T* source) {
          if (source != nullptr) prefetch_to_l2(source, count);
        });
    }

   private:
    const TileProduct& of_;
    Range columns_;
    std::int64_t next_;  // row of the tile
    WindowReader<T> reader_;
  };

  // Rows of y and of the residual lie far apart, each in a place of its own, where the processor does not
  // expect the next access. Asked for here, they arrive while the sum runs.
  void prefetch(const Strip& strip, std::int64_t column, bool y, bool residual) const {
    for (std::int64_t i = strip.from; i < strip.to; ++i) {
      if (y) prefetch_to_write(grid_.y + offsets_[at(i)] + column, kernel_.cols);
      if (residual) prefetch_to_l1(epilogue_.residual + offsets_[at(i)] + column, kernel_.cols);
    }
  }

  // Pointers to the residual of a strip, `cols` columns from `column` on; a copy where these are fewer than a
  // tile's.
  class ResidualTile {
   public:
    const T* const* rows(const TileProduct& product, const Strip& strip, std::int64_t column,
                         std::int64_t cols) {
      const std::int64_t width = product.kernel_.cols;
      for (std::int64_t i = 0; i < strip.to - strip.from; ++i) {
        const T* row = product.epilogue_.residual + product.offsets_[at(strip.from + i)] + column;
        if (cols < width) row = std::copy_n(row, cols, spare_.data() + i * width) - cols;
        rows_[at(i)] = row;
      }
      return rows_.data();
    }

   private:
    std::array<const T*, kMaxTileRows> rows_;
    std::array<T, kMaxTileRows * kMaxTileCols> spare_;
  };

  const Microkernel<T>& kernel_ = microkernel<T>();
  const Windows<T>& windows_;
  const PackedMatrix<T>& b_;
  Epilogue<T> epilogue_;
  const RowGrid<T>& grid_;
  const bool plain_rows_ = windows_.plain_rows();
  const bool in_place_ =
      plain_rows_ && windows_.pixel_stride * static_cast<std::int64_t>(sizeof(T)) <= kMaxBytesInPlace;
  // Of sums that are written once, in whole cache lines, to pixels each of which begins a cache line if the
  // first one does.
  const bool streams_ = grid_.stream && !grid_.add && b_.blocks() == 1 && whole_lines(kernel_.cols) &&
                        whole_lines(grid_.pixel_stride) && whole_lines(grid_.row_stride) &&
                        whole_lines(grid_.image_stride);
  std::int64_t begin_ = 0, rows_ = 0;  // of the tile
  std::int64_t part_ = 0;
  std::int64_t strips_before_ = 0;  // of the part's strips, those of its tiles before this one
  Tensor storage_;
  T* packed_;
  std::array<std::int64_t, kMostRows> offsets_{};  // of the rows in y
  // Of each strip: does the block have pixels of the picture for it, and has it been written.
  std::array<bool, kMostRows> live_{}, written_{};
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

// Tasks are parts of the tiles of strips, times groups of panels.
struct Shares {
  std::int64_t tiles, parts, groups;
};

Shares shares_of(const StripGrid& grid, std::int64_t cols, std::int64_t panels, bool with_moments) {
  const std::int64_t threads = num_threads();
  const std::int64_t tiles = divide_up(grid.rows, kTileRows);
  if (cols <= grid.rows) {
    // Every thread reads all of b. As many tasks for each thread: of few, one more would be waited for.
    const std::int64_t wanted = std::max(tiles, row_tasks(with_moments));
    const std::int64_t even = with_moments ? wanted : divide_up(wanted, threads) * threads;
    const std::int64_t most = std::min(grid.strips, even);
    const std::int64_t parts = with_moments ? std::min(most, kMostParts) : most;
    return {most, parts, column_groups(panels, parts, with_moments)};
  }
  // b is the larger operand: every task reads its own columns of it, and gathers all rows.
  const std::int64_t groups = std::min(panels, dear_tasks());
  if (with_moments) return {tiles, std::min(tiles, kMostParts), groups};
  const std::int64_t shared = std::max(tiles, std::min(grid.strips, divide_up(threads, groups)));
  return {shared, shared, groups};
}

}  // namespace

template <class T>
void window_product(const Windows<T>& windows, std::int64_t rows, const PackedMatrix<T>& b,
                    const Epilogue<T>& epilogue, const RowGrid<T>& grid) {
  const auto& kernel = microkernel<T>();
  if (rows == 0) return;
  if (b.depth() == 0 && epilogue.bias == nullptr)
    return grid.add ? void() : fill_zeros(windows, rows, b.cols(), grid);
  Tensor padded_bias = Tensor::zeros({b.panels() * kernel.cols}, {dtype_of<T>, {}});
  if (epilogue.bias != nullptr) std::copy_n(epilogue.bias, b.cols(), padded_bias.data<T>());
  Epilogue<T> padded = epilogue;
  padded.bias = padded_bias.data<T>();

  const StripGrid strips{rows, divide_up(rows, kernel.rows)};
  const Shares shares = shares_of(strips, b.cols(), b.panels(), epilogue.moments != nullptr);
  if (epilogue.moments != nullptr) epilogue.moments->set_parts(shares.parts);
  parallel_items(shares.parts * shares.groups, [&](Items& items) {
    TileProduct<T> product(windows, b, padded, grid);
    for (std::int64_t task = 0; items.take(task);) {
      const std::int64_t part = task % shares.parts;
      const std::int64_t group = task / shares.parts;
      product.begin_part(part);
      for (std::int64_t tile = shares.tiles * part / shares.parts;
           tile < shares.tiles * (part + 1) / shares.parts; ++tile)
        product.run({strips, strips.strips * tile / shares.tiles, strips.strips * (tile + 1) / shares.tiles},
                    b.panels() * group / shares.groups, b.panels() * (group + 1) / shares.groups);
    }
  });
}

template class PackedMatrix<float>;
template class PackedMatrix<double>;
template void window_product<float>(const Windows<float>&, std::int64_t, const PackedMatrix<float>&,
                                    const Epilogue<float>&, const RowGrid<float>&);
template void window_product<double>(const Windows<double>&, std::int64_t, const PackedMatrix<double>&,
                                     const Epilogue<double>&, const RowGrid<double>&);

}  // namespace dcl::tensor::cpu
