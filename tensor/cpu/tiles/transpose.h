// Rows of numbers as the two operands of a tile product that sums over rows.
#pragma once

#include <cstdint>

#include "tensor/cpu/tiles/tile_kernel.h"

namespace dcl::tensor::cpu {

/// The left operand: out[j·32 + i] = rows[i][j], i < 32, j < cols.
void transpose_rows(const bfloat16* const* rows, std::int64_t cols, bfloat16* out);

/// The right one: out[j/16·chunk_stride + i/2·32 + (j%16)·2 + i%2] = rows[i][j], i < 32, j < cols; the last
/// chunk is filled up with zeros.
void interleave_rows(const bfloat16* const* rows, std::int64_t cols, bfloat16* out,
                     std::int64_t chunk_stride);

/// Two rows as one of pairs: out[2j] = even[j], out[2j + 1] = odd[j]; `out` overlaps neither of them.
void pair_rows(const bfloat16* even, const bfloat16* odd, std::int64_t cols, bfloat16* out);

/// Sixteen columns of pairs of rows, which begin a row later: pair k of `out` is row 2k + 1 and row 2k + 2,
/// the last one row 2·count − 1 and zeros.
void pair_a_row_later(const bfloat16* pairs, std::int64_t count, bfloat16* out);

/// transpose_rows() and interleave_rows() of float32, split into parts (split.h), each part_stride behind the
/// one before.
void transpose_rows(const float* const* rows, std::int64_t cols, bfloat16* out, std::int64_t part_stride);
void interleave_rows(const float* const* rows, std::int64_t cols, bfloat16* out, std::int64_t chunk_stride,
                     std::int64_t part_stride);

}  // namespace dcl::tensor::cpu
