// What the single kernels of tile_kernel.h are made of.
#pragma once

#include "tensor/cpu/tiles/tile_kernel.h"

namespace dcl::tensor::cpu {

/// Highway's: bfloat16 widened to float32, then fused multiply-adds. Compiled once per instruction set.
const TileKernel& vector_tile_kernel();

/// Asks the operating system for AMX; false where it or the processor has none.
bool amx_ready();
void multiply_amx(const TileOperands& operands, float* c);
void multiply_amx_emulated(const TileOperands& operands, float* c);

inline constexpr std::int64_t kAvx512Rows = 14;
void multiply_avx512_bf16(const TileOperands& operands, float* c);
void multiply_store_avx512_bf16(const TileOperands& operands, const TileStore& store);
void store_avx512_bf16(const float* c, TileRoom room, const StoreEnd<bfloat16>& end, bfloat16* const* y);
void store_run_avx512_bf16(const TileRun<bfloat16>& run, const StoreEnd<bfloat16>& end);
void store_run_avx512_bf16(const TileRun<float>& run, const StoreEnd<float>& end);
/// split_to_bfloat16(), but that parts which are denormal numbers become zeros, as in a product by tiles.
void split_avx512_bf16(const float* x, std::int64_t n, bfloat16* out, std::int64_t part_stride);
/// transpose_rows() and interleave_rows() of numbers split like that.
void transpose_split_avx512_bf16(const float* const* rows, std::int64_t cols, bfloat16* out,
                                 std::int64_t part_stride);
void interleave_split_avx512_bf16(const float* const* rows, std::int64_t cols, bfloat16* out,
                                  std::int64_t chunk_stride, std::int64_t part_stride);

}  // namespace dcl::tensor::cpu
