#include "tensor/ops/info_nce_tiles.h"

#include <algorithm>
#include <array>
#include <limits>
#include <vector>

#include "tensor/cpu/ranges.h"
#include "tensor/cpu/tiles/block_lists.h"
#include "tensor/cpu/tiles/tile_panels.h"
#include "tensor/ops/info_nce_kernels.h"

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

}  // namespace

template <class T>
struct TileAttention<T>::Scratch {
  const TileKernel& kernel = tile_kernel();
  TilePanels by_key, by_channel;  // the keys as columns, and as rows
  StripLayout<T> query, weights;
  BlockList score_blocks, weigh_blocks;
  std::vector<float> scores, correction;
  Tensor packed_weights;
  alignas(64) std::array<float, kMaxTileHeight * kTileCols> tile;

  Scratch(const float* queue, std::int64_t keys, std::int64_t channels, std::int64_t height)
      : by_key(TilePanels::from_columns({1, channels, keys, kParts<T>}, queue)),
        by_channel(TilePanels::from_rows({1, keys, channels, kParts<T>}, {queue, keys, 1, {0}})),
        query{height, divide_up(channels, kBlockDepth)},
        weights{height, divide_up(keys, kBlockDepth)},
        score_blocks(blocks_of(query, by_key)),
        weigh_blocks(blocks_of(weights, by_channel)),
        scores(static_cast<std::size_t>(height * keys)),
        correction(static_cast<std::size_t>(height)),
        packed_weights(Tensor::zeros({weights.numbers()}, {DType::bfloat16, {}})) {}

  void multiply(const bfloat16* a, const TilePanels& b, std::int64_t panel, const BlockList& blocks,
                std::int64_t rows) {
    kernel.multiply({.a = a,
                     .a_stride = kBlockDepth,
                     .a_at = blocks.a.data(),
                     .b = b.panel(panel),
                     .b_half = kHalfBlock,
                     .b_at = blocks.b.data(),
                     .blocks = std::ssize(blocks.a),
                     .rows = rows},
                    tile.data());
  }
};

template <class T>
TileAttention<T>::TileAttention(const float* query, std::int64_t rows, std::int64_t channels,
                                double temperature)
    : rows_(rows), channels_(channels), height_(tile_kernel().rows) {
  const StripLayout<T> layout{height_, divide_up(channels, kBlockDepth)};
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
void TileAttention<T>::score(Scratch& scratch, std::int64_t strip, std::int64_t keys) const {
  const auto* const query = query_.data<bfloat16>() + strip * scratch.query.numbers();
  for (std::int64_t panel = 0; panel < scratch.by_key.size().panels(); ++panel) {
    scratch.multiply(query, scratch.by_key, panel, scratch.score_blocks, rows_of(strip));
    const TileRoom room{rows_of(strip), std::min(kTileCols, keys - panel * kTileCols)};
    std::array<float*, kMaxTileHeight> y;
    for (std::int64_t i = 0; i < room.rows; ++i)
      y[static_cast<std::size_t>(i)] = scratch.scores.data() + i * keys + panel * kTileCols;
    scratch.kernel.store_float(scratch.tile.data(), room, {}, y.data());
  }
}

template <class T>
void TileAttention<T>::weigh(Scratch& scratch, std::int64_t strip, std::int64_t keys, float* weighted) const {
  const std::int64_t rows = rows_of(strip);
  for (std::int64_t i = 0; i < rows; ++i) {
    const float factor = scratch.correction[static_cast<std::size_t>(i)];
    if (factor == 1.0F) continue;
    for (std::int64_t c = 0; c < channels_; ++c) weighted[i * channels_ + c] *= factor;
  }
  auto* const packed = scratch.packed_weights.template data<bfloat16>();
  scratch.weights.write(scratch.scores.data(), rows, keys, packed);
  for (std::int64_t panel = 0; panel < scratch.by_channel.size().panels(); ++panel) {
    scratch.multiply(packed, scratch.by_channel, panel, scratch.weigh_blocks, rows);
    const TileRoom room{rows, std::min(kTileCols, channels_ - panel * kTileCols)};
    std::array<float*, kMaxTileHeight> y;
    for (std::int64_t i = 0; i < rows; ++i)
      y[static_cast<std::size_t>(i)] = weighted + i * channels_ + panel * kTileCols;
    scratch.kernel.add_float(scratch.tile.data(), room, y.data());
  }
}

template <class T>
void TileAttention<T>::attend(const float* queue, std::int64_t keys, float* maximum, double* sum,
                              float* weighted) const {
  std::fill_n(maximum, rows_, -std::numeric_limits<float>::infinity());
  std::fill_n(sum, rows_, 0.0);
  if (weighted != nullptr) std::fill_n(weighted, rows_ * channels_, 0.0F);
  for (std::int64_t key = 0; key < keys; key += kKeys) {
    const std::int64_t count = std::min(kKeys, keys - key);
    Scratch scratch(queue + key * channels_, count, channels_, height_);
    for (std::int64_t strip = 0; strip * height_ < rows_; ++strip) {
      const std::int64_t row = strip * height_;
      score(scratch, strip, count);
      fold_scores<float>()({rows_of(strip), count}, scratch.scores.data(), maximum + row, sum + row,
                           scratch.correction.data());
      if (weighted != nullptr) weigh(scratch, strip, count, weighted + row * channels_);
    }
  }
}

template class TileAttention<bfloat16>;
template class TileAttention<float>;

}  // namespace dcl::tensor::cpu
