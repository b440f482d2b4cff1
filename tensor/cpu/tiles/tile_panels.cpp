#include "tensor/cpu/tiles/tile_panels.h"

#include <algorithm>
#include <array>

#include "tensor/cpu/threads.h"
#include "tensor/cpu/tiles/pack_block.h"

namespace dcl::tensor::cpu {

namespace {

// The order in which blocks are filled: as their source lies in memory.
enum class Order : std::uint8_t { along_panels, across_panels };

// Every block of all panels, `fill(panel, tap, first channel, block)`.
template <class Fill>
void fill_blocks(const PanelSize& size, Order order, bfloat16* values, Fill&& fill) {
  const std::int64_t tap_blocks = size.tap_blocks();
  parallel_for(size.panels() * size.blocks(), 4, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t task = begin; task < end; ++task) {
      const bool along = order == Order::along_panels;
      const std::int64_t panel = along ? task / size.blocks() : task % size.panels();
      const std::int64_t block = along ? task % size.blocks() : task / size.panels();
      const std::int64_t channel = block % tap_blocks * kBlockDepth;
      fill(panel, block / tap_blocks, channel,
           PackedBlock{.out = values + panel * size.panel_numbers() + block * kPackedBlock,
                       .depth = std::min(kBlockDepth, size.channels - channel),
                       .cols = std::min(kTileCols, size.cols - panel * kTileCols),
                       .parts = size.parts,
                       .part_stride = size.blocks() * kPackedBlock});
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
  result.fill_from_columns(matrix);
  return result;
}

void TilePanels::fill_from_columns(const float* matrix) {
  const std::int64_t depth = size_.taps * size_.channels;
  fill_blocks(size_, Order::along_panels, values_,
              [&](std::int64_t panel, std::int64_t tap, std::int64_t channel, const PackedBlock& block) {
                pack_columns(matrix + panel * kTileCols * depth + tap * size_.channels + channel, depth,
                             block);
              });
}

TilePanels TilePanels::from_rows(const PanelSize& size, const TapRows& rows) {
  TilePanels result(size);
  result.fill_from_rows(rows);
  return result;
}

void TilePanels::fill_from_rows(const TapRows& rows) {
  fill_blocks(size_, Order::across_panels, values_,
              [&](std::int64_t panel, std::int64_t tap, std::int64_t channel, const PackedBlock& block) {
                std::array<const float*, kBlockDepth> from;
                for (std::int64_t p = 0; p < block.depth; ++p) {
                  const std::int64_t at = tap * size_.channels + channel + p;
                  const std::int64_t row = at % rows.channels * rows.all_taps +
                                           rows.taps[static_cast<std::size_t>(at / rows.channels)];
                  from[static_cast<std::size_t>(p)] = rows.matrix + row * size_.cols + panel * kTileCols;
                }
                pack_rows(from.data(), block);
              });
}

}  // namespace dcl::tensor::cpu
