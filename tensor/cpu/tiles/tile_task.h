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
      : b_(b), end_(end), origin_(grid.y), stream_(grid.stream && can_stream(end)) {}

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
    // One strip of rows at a time, in the first-level cache, against all of b in the second; or all strips,
    // in the second, against one panel.
    const bool small = (last - first) * b_.size().panel_numbers() * 2 <= second_level_cache() / 4;
    const std::int64_t step = small ? kernel_.rows : rows;
    for (std::int64_t from = 0; from < rows; from += step)
      for (std::int64_t panel = first; panel < last; ++panel)
        for (std::int64_t i = from; i < std::min(from + step, rows); i += kernel_.rows) {
          const bfloat16* const strip = a + i / kernel_.rows * strip_stride_;
          if (from_memory_) {
            const Range ahead = share_ahead(strip_stride_, {first, last}, panel, small);
            prefetch_to_l2(strip + strip_stride_ + ahead.begin, ahead.size());
          }
          multiply_tile(strip, i, rows, panel);
        }
    strips_before_ += divide_up(rows, kernel_.rows);
  }

 private:
  bool can_stream(const Epilogue<T>& end) const {
    if constexpr (std::is_same_v<T, float>)
      return end.bias == nullptr && end.residual == nullptr && !end.relu;
    else
      return kernel_.streams_bfloat16;
  }

  void multiply_tile(const bfloat16* a, std::int64_t i, std::int64_t rows, std::int64_t panel) {
    const std::int64_t column = panel * kTileCols;
    const TileRoom room{std::min(kernel_.rows, rows - i), std::min(kTileCols, b_.size().cols - column)};
    const bool streams = stream_ && room.cols == kTileCols;
    std::array<T*, kMaxTileHeight> y;
    for (std::int64_t j = 0; j < room.rows; ++j) {
      T* const row = y_[static_cast<std::size_t>(i + j)];
      y[static_cast<std::size_t>(j)] = row == nullptr ? nullptr : row + column;
      // Rows lie far apart, where the processor does not expect the next access: asked for here, they arrive
      // while the products run.
      if (!streams) __builtin_prefetch(y[static_cast<std::size_t>(j)], 1);
    }
    const BlockList& blocks = lists_.of(i / kernel_.rows);
    kernel_.multiply({.a = a,
                      .a_stride = a_stride_,
                      .a_at = blocks.a.data(),
                      .b = b_.panel(panel),
                      .b_half = kHalfBlock,
                      .b_at = blocks.b.data(),
                      .blocks = std::ssize(blocks.a),
                      .rows = room.rows},
                     c_.data());
    std::array<const T*, kMaxTileHeight> residual;
    for (std::int64_t j = 0; j < room.rows && end_.residual != nullptr; ++j)
      if (const T* const row = y[static_cast<std::size_t>(j)]; row != nullptr)
        residual[static_cast<std::size_t>(j)] = end_.residual + (row - origin_);
    const StoreEnd<T> end{.bias = end_.bias == nullptr ? nullptr : end_.bias + column,
                          .residual = end_.residual == nullptr ? nullptr : residual.data(),
                          .relu = end_.relu,
                          .stream = streams};
    if (end_.moments == nullptr)
      store(room, end, y.data());
    else
      store_and_add(room, end, y.data(), column, strips_before_ + i / kernel_.rows);
  }

  void store(TileRoom room, const StoreEnd<T>& end, T* const* y) const {
    if constexpr (std::is_same_v<T, float>)
      kernel_.store_float(c_.data(), room, end, y);
    else
      kernel_.store_bfloat16(c_.data(), room, end, y);
  }

  // A tile that goes to y by way of the sums. Rows that go nowhere have no moments.
  void store_and_add(TileRoom room, StoreEnd<T> end, T* const* y, std::int64_t column, std::int64_t index) {
    std::array<T*, kMaxTileHeight> stored;
    for (std::int64_t j = 0; j < room.rows; ++j)
      stored[static_cast<std::size_t>(j)] = y[j] == nullptr ? nullptr : spare_.data() + j * kTileCols;
    bool stream = std::exchange(end.stream, false);
    store(room, end, stored.data());
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
        part_, index, end_.first_channel + column,
        TileRows<T>{rows.data(), static_cast<std::int64_t>(count), room.cols, to.data(), stream});
  }

  const TileKernel& kernel_ = tile_kernel();
  const TilePanels& b_;
  Epilogue<T> end_;
  const T* origin_;  // of the result, where the residual has its own
  bool stream_;
  BlockLists lists_;
  std::int64_t a_stride_ = 0, strip_stride_ = 0;
  bool from_memory_ = false;
  std::vector<T*> y_;
  std::int64_t part_ = 0;
  std::int64_t strips_before_ = 0;  // of the part's strips, those before this product's
  alignas(64) std::array<float, kMaxTileHeight * kTileCols> c_;
  alignas(64) std::array<T, kMaxTileHeight * kTileCols> spare_;
};

}  // namespace dcl::tensor::cpu
