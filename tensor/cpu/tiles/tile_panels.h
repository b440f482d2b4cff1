// The right operand of tile products, weights as a rule: [depth,cols] in pairs of rows, panel by panel of 32
// columns, in bfloat16 or in its parts (split.h).
#pragma once

#include <algorithm>

#include "tensor/cpu/tiles/split.h"
#include "tensor/tensor.h"

namespace dcl::tensor::cpu {

/// depth = taps·channels; each tap's channels are filled up with zeros to whole blocks of 32.
struct PanelSize {
  std::int64_t taps, channels, cols;
  std::int64_t parts;

  std::int64_t tap_blocks() const { return (channels + kBlockDepth - 1) / kBlockDepth; }
  /// Of each block, so many pairs that not all are zeros.
  std::int64_t block_pairs() const { return (std::min<std::int64_t>(channels, kBlockDepth) + 1) / 2; }
  /// Of one part.
  std::int64_t blocks() const { return taps * tap_blocks(); }
  std::int64_t panels() const { return (cols + kTileCols - 1) / kTileCols; }
  std::int64_t panel_numbers() const { return parts * blocks() * kPackedBlock; }
};

/// A matrix whose rows are those of the operand in another order: the weights as an input gradient reads
/// them.
struct TapRows {
  const float* matrix;
  std::int64_t channels, all_taps;
  std::vector<std::int64_t> taps;
};

class TilePanels {
 public:
  /// Room for them, to be filled, again and again if need be.
  explicit TilePanels(const PanelSize& size);
  /// Element (tap, channel, col) is matrix[(col·taps + tap)·channels + channel]: its columns lie in memory.
  static TilePanels from_columns(const PanelSize& size, const float* matrix);
  /// Row t·channels + o of the operand is row o·all_taps + taps[t] of matrix [channels·all_taps, cols].
  static TilePanels from_rows(const PanelSize& size, const TapRows& rows);
  void fill_from_columns(const float* matrix);
  void fill_from_rows(const TapRows& rows);

  const PanelSize& size() const { return size_; }
  const bfloat16* panel(std::int64_t i) const { return values_ + i * size_.panel_numbers(); }
  /// Where in a panel a block of a part begins.
  std::int64_t at(std::int64_t part, std::int64_t block) const {
    return (part * size_.blocks() + block) * kPackedBlock;
  }

 private:
  PanelSize size_;
  Tensor storage_;
  bfloat16* values_;
};

}  // namespace dcl::tensor::cpu
