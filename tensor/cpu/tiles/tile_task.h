// One thread's share of a product of tiles: strips of rows against panels of columns, each tile stored as
// soon as it is summed.
#pragma once

#include <algorithm>
#include <array>
#include <type_traits>
#include <utility>
#include <vector>

#include "tensor/cpu/epilogue.h"
#include "tensor/cpu/features.h"
#include "tensor/cpu/prefetch.h"
#include "tensor/cpu/ranges.h"
#include "tensor/cpu/streaming.h"
#include "tensor/cpu/tiles/block_lists.h"
#include "tensor/cpu/tiles/split.h"
#include "tensor/cpu/tiles/tile_panels.h"
#include "tensor/cpu/window_product.h"

namespace dcl::tensor::cpu {

template <class T>
class TileTask {
 public:
  TileTask(const TilePanels& b, const Epilogue<T>& end, const RowGrid<T>& grid)
      : b_(b), end_(end), origin_(grid.y) {
    if (grid.add) end_.residual = grid.y;
    stream_ = grid.stream && !grid.add && can_stream(end_);
    asks_for_y_ = grid.add || (!stream_ && kernel_.asks_for_y);
  }

  ~TileTask() {
    if (stream_) flush_streams();
  }
  TileTask(const TileTask&) = delete;
  TileTask& operator=(const TileTask&) = delete;

  /// a(block, part) is where a block begins, for row 0 of a strip; strips lie strip_stride apart.
  template <class At>
  void set_left(std::int64_t a_stride, std::int64_t strip_stride, At&& at) {
    a_stride_ = a_stride;
    strip_stride_ = strip_stride;
    BlockList all;
    for_each_product<T>(b_.size().blocks(), [&](std::int64_t block, PartPair pair) {
      all.a.push_back(at(block, pair.a));
      all.b.push_back(b_.at(pair.b, block));
    });
    lists_.set_all(std::move(all));
  }

  /// The live taps of each strip of the next products; others are left out. A tap is `blocks` whole blocks.
  void set_live_taps(const std::vector<TapMask>& of_strips, std::int64_t blocks) {
    lists_.set_masks(of_strips, blocks * std::ssize(kPartPairs<T>));
  }

  /// Says that strips lie in memory, one behind the other, and are better asked for before they are read: the
  /// processor takes rows that are read beside each other for no stream.
  void set_from_memory() { from_memory_ = true; }

  /// Row i of the result goes to y[i], or nowhere.
  std::vector<T*>& y() { return y_; }

  /// The part of the epilogue's moments that rows are in from then on.
  void begin_part(std::int64_t part) {
    part_ = part;
    strips_before_ = 0;
  }

  /// Rows of the strips that begin at `a`, against panels [first, last).
  void multiply(const bfloat16* a, std::int64_t rows, std::int64_t first, std::int64_t last) {
    const Order order = order_of({first, last});
    const std::int64_t step = order.by_strips ? order.height : rows;
    for (std::int64_t from = 0; from < rows; from += step)
      for (std::int64_t panel = first; panel < last; panel += order.width)
        for (std::int64_t i = from; i < std::min(from + step, rows); i += order.height)
          multiply_run(a, {i, std::min(i + order.height, rows)}, {panel, std::min(panel + order.width, last)},
                       order);
    strips_before_ += divide_up(rows, kernel_.rows);
  }

 private:
  // That a row is in, and those before it.
  std::int64_t strip_of(std::int64_t row) const { return row / kernel_.rows; }

  auto store_run() const {
    if constexpr (std::is_same_v<T, float>)
      return kernel_.store_run_float;
    else
      return kernel_.store_run_bfloat16;
  }

  bool can_stream(const Epilogue<T>& end) const {
    return store_run() != nullptr ||
           (std::is_same_v<T, float> && end.bias == nullptr && end.residual == nullptr && !end.relu);
  }

  // One strip of rows at a time, in the first-level cache, against all of b in the second; or all strips, in
  // the second, against one panel. A few tiles, `height` rows by `width` panels, are multiplied before they
  // are stored, unless they go from registers to y.
  struct Order {
    Range panels;
    bool by_strips;
    std::int64_t height, width;
  };
  Order order_of(Range panels) const {
    const bool small = panels.size() * b_.size().panel_numbers() * 2 <= second_level_cache() / 4;
    return {panels, small, small ? kernel_.rows : kernel_.run * kernel_.rows, small ? kernel_.run : 1};
  }

  // All products, then all stores; but where a kernel does both, one after the other.
  void multiply_run(const bfloat16* a, Range rows, Range panels, const Order& order) {
    if constexpr (std::is_same_v<T, bfloat16>)
      if (kernel_.multiply_store != nullptr) {
        const Range whole{panels.begin, std::min(panels.end, b_.size().cols / kTileCols)};
        visit_tiles(a, rows, whole, order,
                    [&](const TileOperands& operands, Range strip, std::int64_t panel) {
                      multiply_store(operands, strip, panel);
                    });
        panels.begin = std::max(panels.begin, whole.end);
        if (panels.begin == panels.end) return;
      }
    float* c = c_.data();
    visit_tiles(a, rows, panels, order, [&](const TileOperands& operands, Range, std::int64_t) {
      kernel_.multiply(operands, c);
      c += kTilePitch;
    });
    c = c_.data();
    for (std::int64_t i = rows.begin; i < rows.end; i += kernel_.rows, c += panels.size() * kTilePitch)
      store_strip(c, {i, std::min(i + kernel_.rows, rows.end)}, panels);
  }

  // run(operands, strip, panel) for each.
  template <class Run>
  void visit_tiles(const bfloat16* a, Range rows, Range panels, const Order& order, Run&& run) const {
    for (std::int64_t i = rows.begin; i < rows.end; i += kernel_.rows) {
      const Range strip{i, std::min(i + kernel_.rows, rows.end)};
      if (asks_for_y_) ask_for_y(strip, panels);
      const BlockList& blocks = lists_.of(strip_of(i));
      for (std::int64_t panel = panels.begin; panel < panels.end; ++panel) {
        TileOperands operands{.a = a + strip_of(i) * strip_stride_,
                              .a_stride = a_stride_,
                              .a_at = blocks.a.data(),
                              .b = b_.panel(panel),
                              .b_half = kHalfBlock,
                              .b_at = blocks.b.data(),
                              .blocks = std::ssize(blocks.a),
                              .rows = strip.size(),
                              .pairs = b_.size().block_pairs()};
        if (from_memory_) ask_ahead(a + strip_of(i + order.height) * strip_stride_, panel, order, operands);
        run(operands, strip, panel);
      }
    }
  }

  // A tile that does not leave the registers but for its rows of y. Moments of a part's first strip want its
  // rows twice, for their shift.
  void multiply_store(const TileOperands& operands, Range rows, std::int64_t panel) {
    const std::int64_t strip = strips_before_ + strip_of(rows.begin);
    const std::int64_t column = panel * kTileCols;
    if (end_.moments != nullptr && strip == 0) {
      kernel_.multiply(operands, c_.data());
      return store_strip(c_.data(), rows, {panel, panel + 1});
    }
    TileStore store{.y = y_.data() + rows.begin,
                    .column = column,
                    .bias = end_.bias == nullptr ? nullptr : end_.bias + column,
                    .residual = end_.residual,
                    .origin = origin_,
                    .relu = end_.relu,
                    .stream = stream_};
    MomentColumns<float> columns;
    if (end_.moments != nullptr) {
      const std::int64_t gone = std::count(store.y, store.y + rows.size(), nullptr);
      columns = end_.moments->begin_tiles({part_, strip, end_.first_channel + column, kTileCols},
                                          rows.size() - gone);
      store.moments = &columns;
    }
    kernel_.multiply_store(operands, store);
  }

  // For a share of the strip that comes later.
  void ask_ahead(const bfloat16* next, std::int64_t panel, const Order& order, TileOperands& operands) const {
    const Range share = share_ahead(strip_stride_, order.panels, panel, order.by_strips);
    if (!kernel_.asks_ahead) return prefetch_to_l2(next + share.begin, share.size());
    operands.ahead = next + share.begin;
    operands.ahead_of_block = divide_up(share.size(), std::max<std::int64_t>(operands.blocks, 1));
  }

  // Rows lie far apart, where the processor does not expect the next access: asked for before the products,
  // they arrive while those run. Beside tiles the stores wait for them by themselves (measured: 3 to 10 %
  // faster than a burst of requests in front of every product), unless they are read to be added to.
  void ask_for_y(Range rows, Range panels) const {
    for (std::int64_t i = rows.begin; i < rows.end; ++i)
      if (T* const row = y_[static_cast<std::size_t>(i)]; row != nullptr)
        prefetch_to_write(row + panels.begin * kTileCols, panels.size() * kTileCols);
  }

  // Rows of y, and of what is added to them, from a column on.
  struct Place {
    std::array<T*, kMaxTileHeight> y;
    std::array<const T*, kMaxTileHeight> residual;
    StoreEnd<T> end;
  };

  void find(Range rows, std::int64_t column, Place& place) const {
    for (std::int64_t j = 0; j < rows.size(); ++j) {
      T* const row = y_[static_cast<std::size_t>(rows.begin + j)];
      place.y[static_cast<std::size_t>(j)] = row == nullptr ? nullptr : row + column;
      if (row != nullptr && end_.residual != nullptr)
        place.residual[static_cast<std::size_t>(j)] = end_.residual + (row + column - origin_);
    }
    place.end = {.bias = end_.bias == nullptr ? nullptr : end_.bias + column,
                 .residual = end_.residual == nullptr ? nullptr : place.residual.data(),
                 .relu = end_.relu,
                 .stream = stream_};
  }

  // Tiles beside each other.
  void store_strip(const float* c, Range rows, Range panels) {
    Place place;
    const std::int64_t strip = strips_before_ + strip_of(rows.begin);
    std::int64_t panel = panels.begin;
    if (store_run() != nullptr && panel < b_.size().cols / kTileCols) {
      const Range whole{panel, std::min(panels.end, b_.size().cols / kTileCols)};
      find(rows, panel * kTileCols, place);
      store_whole({.c = c, .tiles = whole.size(), .rows = rows.size(), .y = place.y.data()}, place.end, strip,
                  end_.first_channel + panel * kTileCols);
      panel = whole.end;
      c += whole.size() * kTilePitch;
    }
    for (; panel < panels.end; ++panel, c += kTilePitch) {
      const std::int64_t column = panel * kTileCols;
      const TileRoom room{rows.size(), std::min(kTileCols, b_.size().cols - column)};
      find(rows, column, place);
      place.end.stream = stream_ && room.cols == kTileCols;
      if (end_.moments == nullptr)
        store(c, room, place.end, place.y.data());
      else
        store_and_add(c, room, place.end, place.y.data(), strip, end_.first_channel + column);
    }
  }

  void store_whole(TileRun<T> run, const StoreEnd<T>& end, std::int64_t strip, std::int64_t channel) {
    if (end_.moments == nullptr) return store_run()(run, end);
    const std::int64_t gone = std::count(run.y, run.y + run.rows, nullptr);
    const auto columns =
        end_.moments->begin_tiles({part_, strip, channel, run.tiles * kTileCols}, run.rows - gone);
    run.moments = &columns;
    store_run()(run, end);
  }

  void store(const float* c, TileRoom room, const StoreEnd<T>& end, T* const* y) const {
    if constexpr (std::is_same_v<T, float>)
      kernel_.store_float(c, room, end, y);
    else
      kernel_.store_bfloat16(c, room, end, y);
  }

  // A tile that goes to y by way of the sums. Rows that go nowhere have no moments.
  void store_and_add(const float* c, TileRoom room, StoreEnd<T> end, T* const* y, std::int64_t strip,
                     std::int64_t channel) {
    std::array<T*, kMaxTileHeight> stored;
    for (std::int64_t j = 0; j < room.rows; ++j)
      stored[static_cast<std::size_t>(j)] = y[j] == nullptr ? nullptr : spare_.data() + j * kTileCols;
    bool stream = std::exchange(end.stream, false);
    store(c, room, end, stored.data());
    std::array<const T*, kMaxTileHeight> rows;
    std::array<T*, kMaxTileHeight> to;
    std::size_t count = 0;
    for (std::int64_t j = 0; j < room.rows; ++j) {
      if (y[j] == nullptr) continue;
      rows[count] = stored[static_cast<std::size_t>(j)];
      to[count++] = y[j];
      stream = stream && begins_line(y[j]);
    }
    end_.moments->add(
        part_, strip, channel,
        TileRows<T>{rows.data(), static_cast<std::int64_t>(count), room.cols, to.data(), stream});
  }

  const TileKernel& kernel_ = tile_kernel();
  const TilePanels& b_;
  Epilogue<T> end_;
  const T* origin_;  // of the result, where the residual has its own
  bool stream_, asks_for_y_;
  BlockLists lists_;
  std::int64_t a_stride_ = 0, strip_stride_ = 0;
  bool from_memory_ = false;
  std::vector<T*> y_;
  std::int64_t part_ = 0;
  std::int64_t strips_before_ = 0;  // of the part's strips, those before this product's
  alignas(64) std::array<float, kMaxTileRun * kTilePitch> c_;
  alignas(64) std::array<T, kMaxTileHeight * kTileCols> spare_;
};

}  // namespace dcl::tensor::cpu
