// The innermost product of bfloat16 numbers: a tile of 32 columns, summed in float32 over blocks of up to 32
// terms.
//
//   c[i][j] = sum_b sum_{p<2·pairs} a_b(i,p) · b_b(p,j)    i < rows, j < 32, b < blocks, pairs <= 16
//   a_b(i,p) = a[a_at[b] + i·a_stride + (p/2)·a_pair_stride + p%2]
//   b_b(p,j) = b[b_at[b] + (j/16)·b_half + (p/2)·32 + (j%16)·2 + p%2]
//
// The left operand lies in rows, the right one in pairs of rows: what Intel's AMX tiles and AVX-512's
// vdpbf16ps read. Where a block begins is looked up, so that one product covers a row of a matrix, the taps
// of a convolution, and the six products of numbers split into three parts (split.h).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tensor/cpu/moment_sums.h"
#include "tensor/dtype.h"

namespace dcl::tensor::cpu {

inline constexpr std::int64_t kBlockDepth = 32;                          // terms of a block
inline constexpr std::int64_t kTileCols = 32;                            // columns of a tile
inline constexpr std::int64_t kHalfBlock = kBlockDepth * kTileCols / 2;  // numbers of half a packed block
inline constexpr std::int64_t kPackedBlock = kBlockDepth * kTileCols;    // numbers of a packed block
inline constexpr std::int64_t kMaxTileHeight = 32;                       // rows of any kernel's tile
/// Numbers from one tile of sums to the next: rows of neighbours do not fall on one set of a cache.
inline constexpr std::int64_t kTilePitch = kMaxTileHeight * kTileCols + 16;
inline constexpr std::int64_t kMaxTileRun = 4;  // tiles that are stored together

struct TileOperands {
  const bfloat16* a;
  std::int64_t a_stride;
  const std::int64_t* a_at;  // [blocks]
  const bfloat16* b;         // blocks begin at multiples of 64 bytes
  std::int64_t b_half;
  const std::int64_t* b_at;  // [blocks]
  std::int64_t blocks;
  std::int64_t rows;  // that are wanted, at most the kernel's
  /// Of each block. b's others are zeros, and may be multiplied too, but by kernels of `any_pairs`: behind
  /// them another block may lie.
  std::int64_t pairs = kBlockDepth / 2;
  /// Between the pairs of a row of a. Only kernels of `any_pairs` know others.
  std::int64_t a_pair_stride = 2;
  /// To be asked for on the way, so many numbers beside each block, by kernels that can (asks_ahead): a
  /// product of tiles leaves the memory alone meanwhile.
  const bfloat16* ahead = nullptr;
  std::int64_t ahead_of_block = 0;
};

/// The part of a tile that the result has room for.
struct TileRoom {
  std::int64_t rows, cols;
};

/// What is done to sums before they are stored, y = act(c + bias + residual), rounded once; act = ReLU when
/// `relu`, NaN stays NaN.
template <class T>
struct StoreEnd {
  const float* bias = nullptr;         // [cols], or none
  const T* const* residual = nullptr;  // [rows] of cols, or none
  bool relu = false;
  /// Past the caches (tensor/cpu/streaming.h), where the kernel can and a row of y begins a cache line. Who
  /// says so flushes.
  bool stream = false;
};

/// Tiles beside each other, whole columns all of them: tile t begins at c + t·kTilePitch.
template <class T>
struct TileRun {
  const float* c;
  std::int64_t tiles, rows;
  T* const* y;  // [rows] of the first tile's columns; null rows are left out
  const MomentColumns<float>* moments = nullptr;  // of the first tile's columns, or none
};

/// A tile of whole columns that goes from registers to rows of y; row i of it begins at y[i] + column.
struct TileStore {
  bfloat16* const* y;  // [rows of the operands]; null rows are left out
  std::int64_t column;
  const float* bias = nullptr;         // [32], or none
  const bfloat16* residual = nullptr;  // or none; its place for a number of y is as far behind it as
  const bfloat16* origin = nullptr;    // that number is behind `origin`
  bool relu = false;
  bool stream = false;
  const MomentColumns<float>* moments = nullptr;  // of the tile's columns, or none; they have their shifts
};

struct TileKernel {
  std::int64_t rows;
  /// Overwrites c [rows][32], aligned to 64 bytes. Unless `any_rows`, also the rows that are not wanted; it
  /// reads all pairs of what it computes, whole blocks unless `any_pairs`.
  void (*multiply)(const TileOperands& operands, float* c);
  /// Rows whose y[i] is null are left out.
  void (*store_bfloat16)(const float* c, TileRoom room, const StoreEnd<bfloat16>& end, bfloat16* const* y);
  void (*store_float)(const float* c, TileRoom room, const StoreEnd<float>& end, float* const* y);
  /// A run of whole tiles, and the moments of what is stored on the way. Null: tile by tile.
  void (*store_run_bfloat16)(const TileRun<bfloat16>& run, const StoreEnd<bfloat16>& end) = nullptr;
  void (*store_run_float)(const TileRun<float>& run, const StoreEnd<float>& end) = nullptr;
  /// multiply() and store_run_bfloat16() of one tile without a way through memory; null where sums are not in
  /// registers.
  void (*multiply_store)(const TileOperands& operands, const TileStore& store) = nullptr;
  /// How many tiles are better multiplied before they are stored: products that wait for each other's last
  /// sums do not wait for stores too. At most kMaxTileRun.
  std::int64_t run = 1;
  /// y[i][j] += c[i][j]
  void (*add_float)(const float* c, TileRoom room, float* const* y);
  /// True where rows that lie a power of two apart are read as fast as others.
  bool any_stride;
  /// True where a product asks for what its operands' `ahead` says.
  bool asks_ahead = false;
  /// True where rows of y are better asked for before the product that goes there; beside tiles stores wait
  /// for them by themselves.
  bool asks_for_y = true;
  /// True where fewer rows take less time.
  bool any_rows = false;
  /// True where the pairs of a block may lie apart, and those behind the wanted ones are not multiplied.
  bool any_pairs = false;
  std::string name;
};

/// From the slowest to the fastest: whatever the processor has without bfloat16 instructions; vdpbf16ps; AMX
/// tiles, in plain C++ for tests and as they are.
enum class TilePath : std::uint8_t { vectors, avx512_bf16, amx_emulated, amx };

/// The paths that run on this processor and that cpu_level() allows, amx_emulated always among them.
std::vector<TilePath> tile_paths();
/// The one that is used: at first the fastest that is not emulated.
TilePath tile_path();
/// Throws where `path` does not run here. Not to be called while an op runs.
void set_tile_path(TilePath path);
const TileKernel& tile_kernel();

}  // namespace dcl::tensor::cpu
