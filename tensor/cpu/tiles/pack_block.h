// A block of the right operand of a tile product (tile_kernel.h) from float32: rounded to bfloat16, or split
// into parts (split.h), in pairs of rows.
#pragma once

#include <cstdint>

#include "tensor/cpu/tiles/tile_kernel.h"

namespace dcl::tensor::cpu {

/// depth <= 32 and cols <= 32 of the block are filled, the rest with zeros; `parts` is 1 or 3, each
/// part_stride behind the one before.
struct PackedBlock {
  bfloat16* out;
  std::int64_t depth, cols;
  std::int64_t parts, part_stride;
};

/// Element (p,j) is x[j·column_stride + p].
void pack_columns(const float* x, std::int64_t column_stride, const PackedBlock& block);
/// Element (p,j) is rows[p][j].
void pack_rows(const float* const* rows, const PackedBlock& block);

}  // namespace dcl::tensor::cpu
