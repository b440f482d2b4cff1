// The innermost product of the fast convolutions: a small tile of the result that stays in registers while
// the sum runs over packed operands (Goto and van de Geijn, "Anatomy of High-Performance Matrix
// Multiplication", 2008).
//
//   tile[i][j] = sum_p a(i,p) · b[p·cols + j]        i < rows, j < cols, p < depth
//
// Compiled once per instruction set; the best that the processor has is chosen at run time. How large a tile
// is depends on the registers: 14 x 32 floats with AVX-512, 6 x 16 with AVX2.
#pragma once

#include <array>
#include <cstdint>

namespace dcl::tensor::cpu {

/// Longest sum of one call. Packed rows lie kPackedStride apart: an odd number of cache lines, so that the
/// rows of a tile do not fall on the same cache sets.
inline constexpr std::int64_t kMaxDepth = 384;
inline constexpr std::int64_t kPackedStride = 400;

/// The most rows and columns that a tile has on any processor.
inline constexpr std::int64_t kMaxTileRows = 16;
inline constexpr std::int64_t kMaxTileCols = 32;

/// How the rows of a tile are stored: c = act(tile + bias + residual), act = ReLU (NaN stays) when `relu`.
template <class T>
struct TileEnd {
  const T* bias = nullptr;             // [cols]; null: the tile is added to what c holds
  const T* const* residual = nullptr;  // a pointer a row, as c; or none
  bool relu = false;
  /// Past the caches (streaming.h): c's rows begin cache lines. Who says so flushes.
  bool stream = false;
};

template <class T>
struct Microkernel {
  /// `c` holds one pointer a row of the tile, each to `cols` elements. a(i,p) = a[i·a_stride + p]: gathered
  /// rows as they are. `b` is aligned to 64 bytes.
  using RunRows = void (*)(const T* a, std::int64_t a_stride, const T* b, std::int64_t depth,
                           const TileEnd<T>& end, T* const* c);
  /// For a transposed left operand as it is, packed or not: a(i,p) = a[p·a_stride + i], and b(p,j) =
  /// b[p·b_stride + j]. Row i becomes tile[i] + bias, or, when `bias` is null, tile[i] is added to it. Reads
  /// no further than the tile.
  using RunColumns = void (*)(const T* a, std::int64_t a_stride, const T* b, std::int64_t b_stride,
                              std::int64_t depth, const T* bias, T* const* c);

  std::int64_t rows;                               // the most that run_rows has a tile for
  std::int64_t cols;                               // of all tiles
  std::array<RunRows, kMaxTileRows + 1> run_rows;  // [r]: a tile of 1 <= r <= rows rows

  std::int64_t narrow_rows;    // of run_columns' tile: a little less, to waste less of 64, 128 … rows
  std::int64_t narrow_stride;  // narrow_rows rounded up to whole vectors
  RunColumns run_columns;

  /// Cuts a row into chunks: chunk j, the `width` elements that start at row[j·step], goes to
  /// panels[j·panel_stride]. `width` is cols or narrow_stride. Reads `width` elements for each chunk.
  void (*scatter_row)(const T* row, std::int64_t chunks, std::int64_t step, std::int64_t width, T* panels,
                      std::int64_t panel_stride);

  /// A panel of run_rows' right operand from its columns, each in one piece: panel[p·cols + j] =
  /// columns[j·stride + p], p < depth; zeros for `count` <= j < cols.
  void (*pack_columns)(const T* columns, std::int64_t stride, std::int64_t count, std::int64_t depth,
                       T* panel);

  const char* target;  // Highway's name of the instruction set

  /// True where kMaxDepth rows of `cols` stay in the first-level cache while the left operand's strips pass
  /// by (24 KiB with AVX2, 48 KiB with AVX-512): then the loop over strips is the inner one.
  bool panel_stays_in_l1() const {
    return kMaxDepth * cols * static_cast<std::int64_t>(sizeof(T)) <= std::int64_t{24} << 10;
  }
};

/// The microkernel for this processor; T is float or double.
template <class T>
const Microkernel<T>& microkernel();

}  // namespace dcl::tensor::cpu
