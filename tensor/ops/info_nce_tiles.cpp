#include "tensor/ops/info_nce_tiles.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <optional>
#include <vector>

#include "tensor/cpu/features.h"
#include "tensor/cpu/ranges.h"
#include "tensor/cpu/tiles/block_lists.h"
#include "tensor/cpu/tiles/tile_panels.h"
#include "tensor/ops/info_nce_kernels.h"
#include "tensor/ops/info_nce_score_tile.h"

namespace dcl::tensor::cpu {

namespace {

constexpr std::int64_t kKeys = 512;  // of a block: 2 x 128 KiB of packed operands with 128 channels

// A strip of rows as the left operand of a tile product: [part][block][row][32].
template <class T>
struct StripLayout {
  std::int64_t height, blocks;

  std::int64_t block_stride() const { return height * kBlockDepth; }
  std::int64_t part_stride() const { return blocks * block_stride(); }
  std::int64_t numbers() const { return kParts<T> * part_stride(); }

  /// Rows [rows,depth], `depth` numbers apart.
  void write(const float* from, std::int64_t rows, std::int64_t depth, bfloat16* to) const {
    const std::int64_t whole = depth / kBlockDepth;
    for (std::int64_t i = 0; i < rows; ++i, from += depth, to += kBlockDepth) {
      write_part_of_row(from, {whole, kBlockDepth, kBlockDepth, block_stride(), part_stride()}, to);
      if (depth > whole * kBlockDepth)
        write_part_of_row(from + whole * kBlockDepth, {1, depth - whole * kBlockDepth, 0, 0, part_stride()},
                          to + whole * block_stride());
    }
  }

 private:
  static void write_part_of_row(const float* from, const BlockRuns& runs, bfloat16* to) {
    if constexpr (kParts<T> > 1)
      write_blocks(from, runs, to);
    else
      round_blocks(from, runs, to);
  }
};

template <class T>
StripLayout<T> strip_layout(std::int64_t height, std::int64_t depth) {
  return {height, divide_up(depth, kBlockDepth)};
}

// Where the blocks of both operands begin, for every product of their parts.
template <class T>
BlockList blocks_of(const StripLayout<T>& left, const TilePanels& right) {
  BlockList all;
  for_each_product<T>(right.size().blocks(), [&](std::int64_t block, PartPair pair) {
    all.a.push_back(pair.a * left.part_stride() + block * left.block_stride());
    all.b.push_back(right.at(pair.b, block));
  });
  return all;
}

// Rows without a maximum take that of their scores in a tile.
void start_at_first_tile(TileRoom room, const float* tile, float* maximum) {
  for (std::int64_t i = 0; i < room.rows; ++i, tile += kTileCols)
    if (maximum[i] == -std::numeric_limits<float>::infinity())
      maximum[i] = *std::max_element(tile, tile + room.cols);
}

}  // namespace

// Where a block of keys becomes scores and weights, strip by strip.
template <class T>
struct TileAttention<T>::Scratch {
  const TileKernel& kernel = tile_kernel();
  std::int64_t keys;
  TilePanels by_key, by_channel;  // the keys as columns, and as rows
  StripLayout<T> query, weights;
  BlockList score_blocks, weigh_blocks;
  std::vector<float> scores, correction;
  Tensor packed_weights;
  std::optional<ScoreLanes> lanes;  // where weights can be had in registers
  alignas(64) std::array<float, kMaxTileRun * kTilePitch> tiles;

  Scratch(std::int64_t count, std::int64_t channels, std::int64_t height)
      : keys(count),
        by_key({1, channels, count, kParts<T>}),
        by_channel({1, count, channels, kParts<T>}),
        query(strip_layout<T>(height, channels)),
        weights(strip_layout<T>(height, count)),
        score_blocks(blocks_of(query, by_key)),
        weigh_blocks(blocks_of(weights, by_channel)),
        scores(static_cast<std::size_t>(height * count)),
        correction(static_cast<std::size_t>(height)),
        packed_weights(Tensor::zeros({weights.numbers()}, {DType::bfloat16, {}})) {
    if (avx512_bf16_allowed()) lanes.emplace();
  }

  void pack(const float* queue) {
    by_key.fill_from_columns(queue);
    by_channel.fill_from_rows({queue, keys, 1, {0}});
  }

  // All panels of b, a run of tiles at a time, each of which goes to `finish(tile, panel)`.
  template <class Finish>
  void multiply(const bfloat16* a, const TilePanels& b, const BlockList& blocks, std::int64_t rows,
                Finish&& finish) {
    for (std::int64_t first = 0; first < b.size().panels(); first += kernel.run) {
      const std::int64_t last = std::min(first + kernel.run, b.size().panels());
      for (std::int64_t panel = first; panel < last; ++panel)
        kernel.multiply({.a = a,
                         .a_stride = kBlockDepth,
                         .a_at = blocks.a.data(),
                         .b = b.panel(panel),
                         .b_half = kHalfBlock,
                         .b_at = blocks.b.data(),
                         .blocks = std::ssize(blocks.a),
                         .rows = rows},
                        tiles.data() + (panel - first) * kTilePitch);
      for (std::int64_t panel = first; panel < last; ++panel)
        finish(tiles.data() + (panel - first) * kTilePitch, panel);
    }
  }
};

template <class T>
TileAttention<T>::TileAttention(const float* query, std::int64_t rows, std::int64_t channels,
                                double temperature)
    : rows_(rows), channels_(channels), height_(tile_kernel().rows) {
  const StripLayout<T> layout = strip_layout<T>(height_, channels);
  query_ = Tensor::zeros({divide_up(rows, height_) * layout.numbers()}, {DType::bfloat16, {}});
  std::vector<float> scaled(static_cast<std::size_t>(height_ * channels));
  for (std::int64_t strip = 0; strip * height_ < rows; ++strip) {
    const std::int64_t count = rows_of(strip) * channels;
    std::transform(query + strip * height_ * channels, query + strip * height_ * channels + count,
                   scaled.begin(),
                   [factor = static_cast<float>(1 / temperature)](float x) { return x * factor; });
    layout.write(scaled.data(), rows_of(strip), channels, query_.data<bfloat16>() + strip * layout.numbers());
  }
}

template <class T>
std::int64_t TileAttention<T>::rows_of(std::int64_t strip) const {
  return std::min(height_, rows_ - strip * height_);
}

template <class T>
const bfloat16* TileAttention<T>::queries_of(std::int64_t strip) const {
  return query_.data<bfloat16>() + strip * strip_layout<T>(height_, channels_).numbers();
}

// By way of all scores of the strip, whose maximum is known before the first exponential.
template <class T>
void TileAttention<T>::weigh_by_scores(Scratch& scratch, std::int64_t strip, const Sums& sums) const {
  const std::int64_t rows = rows_of(strip);
  const std::int64_t keys = scratch.keys;
  float* const scores = scratch.scores.data();
  scratch.multiply(queries_of(strip), scratch.by_key, scratch.score_blocks, rows,
                   [&](const float* tile, std::int64_t panel) {
                     const TileRoom room{rows, std::min(kTileCols, keys - panel * kTileCols)};
                     std::array<float*, kMaxTileHeight> y;
                     for (std::int64_t i = 0; i < rows; ++i)
                       y[static_cast<std::size_t>(i)] = scores + i * keys + panel * kTileCols;
                     scratch.kernel.store_float(tile, room, {}, y.data());
                   });
  fold_scores<float>()({rows, keys}, scores, sums.maximum, sums.sum, scratch.correction.data());
  if (sums.weighted == nullptr) return;
  for (std::int64_t i = 0; i < rows; ++i) rescale(sums, i, scratch.correction[static_cast<std::size_t>(i)]);
  scratch.weights.write(scores, rows, keys, scratch.packed_weights.template data<bfloat16>());
  add_weighted_keys(scratch, rows, sums);
}

// Each row relative to the maximum of the blocks before, or in the first one to that of its first tile, which
// is as good as that of the block unless scores are so much larger that weights leave the range of numbers.
// Then, or where that cannot be told, false, and nothing is done. (A NaN among the scores is one in the sum.)
template <class T>
bool TileAttention<T>::weigh_in_registers(Scratch& scratch, std::int64_t strip, const Sums& sums) const {
  constexpr float kMostGrowth = 40;         // e^40 = 2e17
  static_assert(kTileCols == kBlockDepth);  // a tile of scores is a block of weights
  if (!scratch.lanes) return false;
  const std::int64_t rows = rows_of(strip);
  std::array<float, kMaxTileHeight> shift;
  std::copy_n(sums.maximum, rows, shift.begin());
  auto* const packed = sums.weighted == nullptr ? nullptr : scratch.packed_weights.template data<bfloat16>();
  scratch.lanes->clear();
  scratch.multiply(
      queries_of(strip), scratch.by_key, scratch.score_blocks, rows,
      [&](const float* tile, std::int64_t panel) {
        const std::int64_t cols = std::min(kTileCols, scratch.keys - panel * kTileCols);
        if (panel == 0) start_at_first_tile({rows, cols}, tile, shift.data());
        weigh_tile_avx512<T>(
            {.scores = tile,
             .rows = rows,
             .cols = cols,
             .shift = shift.data(),
             .weights = packed == nullptr ? nullptr : packed + panel * scratch.weights.block_stride(),
             .part_stride = scratch.weights.part_stride()},
            *scratch.lanes);
      });
  std::array<float, kMaxTileHeight> sum, largest;
  join_lanes_avx512(*scratch.lanes, rows, sum.data(), largest.data());
  for (std::size_t i = 0; i < static_cast<std::size_t>(rows); ++i)
    if (!(largest[i] - shift[i] <= kMostGrowth)) return false;
  if (packed != nullptr) add_weighted_keys(scratch, rows, sums);
  for (std::int64_t i = 0; i < rows; ++i) {
    const float before = shift[static_cast<std::size_t>(i)];
    const float now = std::max(before, largest[static_cast<std::size_t>(i)]);
    const float correction = std::exp(before - now);
    sums.maximum[i] = now;
    sums.sum[i] = (sums.sum[i] + static_cast<double>(sum[static_cast<std::size_t>(i)])) *
                  static_cast<double>(correction);
    rescale(sums, i, correction);
  }
  return true;
}

template <class T>
void TileAttention<T>::rescale(const Sums& sums, std::int64_t row, float correction) const {
  if (sums.weighted == nullptr || correction == 1.0F) return;
  float* const weighted = sums.weighted + row * channels_;
  for (std::int64_t c = 0; c < channels_; ++c) weighted[c] *= correction;
}

template <class T>
void TileAttention<T>::add_weighted_keys(Scratch& scratch, std::int64_t rows, const Sums& sums) const {
  scratch.multiply(scratch.packed_weights.template data<bfloat16>(), scratch.by_channel, scratch.weigh_blocks,
                   rows, [&](const float* tile, std::int64_t panel) {
                     const TileRoom room{rows, std::min(kTileCols, channels_ - panel * kTileCols)};
                     std::array<float*, kMaxTileHeight> y;
                     for (std::int64_t i = 0; i < rows; ++i)
                       y[static_cast<std::size_t>(i)] = sums.weighted + i * channels_ + panel * kTileCols;
                     scratch.kernel.add_float(tile, room, y.data());
                   });
}

template <class T>
void TileAttention<T>::attend(const float* queue, std::int64_t keys, const Sums& sums) const {
  std::fill_n(sums.maximum, rows_, -std::numeric_limits<float>::infinity());
  std::fill_n(sums.sum, rows_, 0.0);
  if (sums.weighted != nullptr) std::fill_n(sums.weighted, rows_ * channels_, 0.0F);
  std::optional<Scratch> scratch;
  for (std::int64_t key = 0; key < keys; key += kKeys) {
    const std::int64_t count = std::min(kKeys, keys - key);
    if (!scratch || scratch->keys != count) scratch.emplace(count, channels_, height_);
    scratch->pack(queue + key * channels_);
    for (std::int64_t strip = 0; strip * height_ < rows_; ++strip) {
      const std::int64_t row = strip * height_;
      const Sums of_strip{sums.maximum + row, sums.sum + row,
                          sums.weighted == nullptr ? nullptr : sums.weighted + row * channels_};
      if (!weigh_in_registers(*scratch, strip, of_strip)) weigh_by_scores(*scratch, strip, of_strip);
    }
  }
}

template class TileAttention<bfloat16>;
template class TileAttention<float>;

}  // namespace dcl::tensor::cpu
