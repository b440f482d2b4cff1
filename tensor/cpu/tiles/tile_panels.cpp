#include "tensor/cpu/tiles/tile_panels.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "tensor/cpu/threads.h"
#include "tensor/cpu/tiles/transpose.h"

namespace dcl::tensor::cpu {

namespace {

// The numbers of a matrix as `parts` times as many bfloat16.
Tensor parts_of(const float* matrix, std::int64_t numbers, std::int64_t parts) {
  Tensor all = Tensor::empty({parts, numbers}, {DType::bfloat16, {}});
  auto* const out = all.data<bfloat16>();
  parallel_for(numbers, 1 << 15, [&](std::int64_t begin, std::int64_t end) {
    if (parts == 1)
      round_to_bfloat16(matrix + begin, end - begin, out + begin);
    else
      split_to_bfloat16(matrix + begin, end - begin, out + begin, numbers);
  });
  return all;
}

// Pair p of column j of a packed block.
std::int64_t pair_at(std::int64_t p, std::int64_t j) { return j / 16 * kHalfBlock + p * 32 + j % 16 * 2; }

// Every block of all panels, `fill(panel, part, tap, first channel, out)` with out full of zeros where the
// panel or the block hangs over the matrix.
template <class Fill>
void fill_blocks(const PanelSize& size, bfloat16* values, Fill&& fill) {
  parallel_for(size.panels() * size.taps, 4, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t task = begin; task < end; ++task) {
      const std::int64_t panel = task / size.taps;
      const std::int64_t tap = task % size.taps;
      for (std::int64_t part = 0; part < size.parts; ++part)
        for (std::int64_t block = 0; block < size.tap_blocks(); ++block) {
          bfloat16* const out = values + panel * size.panel_numbers() +
                                (part * size.blocks() + tap * size.tap_blocks() + block) * kPackedBlock;
          const bool whole =
              (panel + 1) * kTileCols <= size.cols && (block + 1) * kBlockDepth <= size.channels;
          if (!whole) std::fill_n(out, kPackedBlock, bfloat16());
          fill(panel, part, tap, block * kBlockDepth, out);
        }
    }
  });
}

}  // namespace

TilePanels::TilePanels(const PanelSize& size)
    : size_(size),
      storage_(Tensor::empty({size.panels() * size.panel_numbers()}, {DType::bfloat16, {}})),
      values_(storage_.data<bfloat16>()) {}

TilePanels TilePanels::from_columns(const PanelSize& size, const float* matrix) {
  TilePanels result(size);
  const std::int64_t numbers = size.cols * size.taps * size.channels;
  const Tensor parts = parts_of(matrix, numbers, size.parts);
  const auto* const source = std::as_const(parts).data<bfloat16>();
  fill_blocks(
      size, result.values_,
      [&](std::int64_t panel, std::int64_t part, std::int64_t tap, std::int64_t channel, bfloat16* out) {
        const std::int64_t depth = std::min(kBlockDepth, size.channels - channel);
        const std::int64_t cols = std::min(kTileCols, size.cols - panel * kTileCols);
        for (std::int64_t j = 0; j < cols; ++j) {
          const bfloat16* const column =
              source + part * numbers + ((panel * kTileCols + j) * size.taps + tap) * size.channels + channel;
          bfloat16* const to = out + pair_at(0, j);
          for (std::int64_t p = 0; p < depth / 2; ++p) std::memcpy(to + p * 32, column + 2 * p, 4);
          if (depth % 2 != 0) to[depth / 2 * 32] = column[depth - 1];
        }
      });
  return result;
}

TilePanels TilePanels::from_rows(const PanelSize& size, const TapRows& rows) {
  TilePanels result(size);
  const std::int64_t numbers = rows.channels * rows.all_taps * size.cols;
  const Tensor parts = parts_of(rows.matrix, numbers, size.parts);
  const auto* const source = std::as_const(parts).data<bfloat16>();
  const std::array<bfloat16, kTileCols> zeros{};
  fill_blocks(
      size, result.values_,
      [&](std::int64_t panel, std::int64_t part, std::int64_t tap, std::int64_t channel, bfloat16* out) {
        const std::int64_t depth = std::min(kBlockDepth, size.channels - channel);
        const std::int64_t cols = std::min(kTileCols, size.cols - panel * kTileCols);
        const auto row = [&](std::int64_t p) {
          const std::int64_t at = tap * size.channels + channel + p;
          return source + part * numbers + panel * kTileCols +
                 (at % rows.channels * rows.all_taps +
                  rows.taps[static_cast<std::size_t>(at / rows.channels)]) *
                     size.cols;
        };
        for (std::int64_t p = 0; p < depth; p += 2) {
          const std::array pair{row(p), p + 1 < depth ? row(p + 1) : zeros.data()};
          interleave_rows(pair.data(), cols, out + pair_at(p / 2, 0), kHalfBlock);
        }
      });
  return result;
}

}  // namespace dcl::tensor::cpu
