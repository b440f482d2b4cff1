#include "tensor/cpu/microkernel.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "tensor/cpu/vector_targets.h"

// Four instruction sets are enough: 32 wide registers, 16 wide ones with fused multiply-add, 16 narrow ones,
// plain C++. (The others would be compiled for nothing.)
#undef HWY_DISABLED_TARGETS
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | (HWY_AVX3 - 1))
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tensor/cpu/microkernel.cpp"
#include <hwy/foreach_target.h>
// foreach_target.h comes first: it includes this file again for every instruction set.
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace dcl::tensor::cpu {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// Accumulators are two vectors a row: 28 of 32 registers, or 12 of 16.
#if HWY_TARGET == HWY_AVX3
constexpr int kRows = 14;
constexpr int kNarrowRows = 13;
constexpr int kNarrowStride = 16;
#else
constexpr int kRows = 6;
constexpr int kNarrowRows = 6;
constexpr int kNarrowStride = 8;
#endif

// The element type and the tile's rows; the tile's columns are two vectors.
template <class T, int rows>
struct Tile {
  using Tag = hn::ScalableTag<T>;
  using Vector = hn::Vec<Tag>;
  static constexpr std::int64_t kLanes = HWY_LANES(T);

  // tile[i][j] = sum_p a[i·row_stride + p·a_stride] · b[p·b_stride + j]
  static HWY_INLINE void run(const T* HWY_RESTRICT a, std::int64_t row_stride, std::int64_t a_stride,
                             const T* HWY_RESTRICT b, std::int64_t b_stride, std::int64_t depth,
                             const TileEnd<T>& end, T* const* c) {
    const Tag d;
    Vector left[rows];
    Vector right[rows];
#pragma GCC unroll 16
    for (int i = 0; i < rows; ++i) left[i] = right[i] = hn::Zero(d);
    for (std::int64_t p = 0; p < depth; ++p) {
      const Vector b_left = hn::LoadU(d, b);
      const Vector b_right = hn::LoadU(d, b + kLanes);
#pragma GCC unroll 16
      for (int i = 0; i < rows; ++i) {
        const Vector a_i = hn::Set(d, a[i * row_stride]);
        left[i] = hn::MulAdd(a_i, b_left, left[i]);
        right[i] = hn::MulAdd(a_i, b_right, right[i]);
      }
      a += a_stride;
      b += b_stride;
    }
#pragma GCC unroll 16
    for (int i = 0; i < rows; ++i) {
      const T* const added = end.bias != nullptr ? end.bias : c[i];
      const T* const residual = end.residual != nullptr ? end.residual[i] : nullptr;
      store(hn::Add(left[i], hn::LoadU(d, added)), residual, 0, end, c[i]);
      store(hn::Add(right[i], hn::LoadU(d, added + kLanes)), residual, kLanes, end, c[i]);
    }
  }

  static HWY_INLINE void store(Vector sum, const T* residual, std::int64_t at, const TileEnd<T>& end,
                               T* row) {
    const Tag d;
    if (residual != nullptr) sum = hn::Add(sum, hn::LoadU(d, residual + at));
    if (end.relu) sum = hn::IfThenZeroElse(hn::Lt(sum, hn::Zero(d)), sum);
    if (end.stream)
      hn::Stream(sum, d, row + at);
    else
      hn::StoreU(sum, d, row + at);
  }
};

template <class T, int rows>
void run_rows(const T* a, std::int64_t a_stride, const T* b, std::int64_t depth, const TileEnd<T>& end,
              T* const* c) {
  Tile<T, rows>::run(a, a_stride, 1, b, 2 * HWY_LANES(T), depth, end, c);
}

template <class T>
void run_columns(const T* a, std::int64_t a_stride, const T* b, std::int64_t b_stride, std::int64_t depth,
                 const T* bias, T* const* c) {
  Tile<T, kNarrowRows>::run(a, 1, a_stride, b, b_stride, depth, {.bias = bias}, c);
}

// run_rows for every number of rows up to kRows.
template <class T, int... rows>
constexpr std::array<typename Microkernel<T>::RunRows, kMaxTileRows + 1> all_rows(
    std::integer_sequence<int, rows...> /*rows from 0 on*/) {
  return {nullptr, &run_rows<T, rows + 1>...};
}

template <class T, int width>
void scatter_chunks(const T* row, std::int64_t chunks, std::int64_t step, T* panels,
                    std::int64_t panel_stride) {
  const hn::ScalableTag<T> d;
  constexpr int lanes = HWY_LANES(T);
  for (std::int64_t j = 0; j < chunks; ++j) {
#pragma GCC unroll 8
    for (int i = 0; i < width; i += lanes) hn::Store(hn::LoadU(d, row + i), d, panels + i);
    row += step;
    panels += panel_stride;
  }
}

template <class T>
void scatter_row(const T* row, std::int64_t chunks, std::int64_t step, std::int64_t width, T* panels,
                 std::int64_t panel_stride) {
  if (width == 2 * HWY_LANES(T)) {
    scatter_chunks<T, 2 * HWY_LANES(T)>(row, chunks, step, panels, panel_stride);
  } else {
    scatter_chunks<T, kNarrowStride>(row, chunks, step, panels, panel_stride);
  }
}

#if HWY_TARGET != HWY_SCALAR
// out[p·out_stride + j] = in[j·in_stride + p], a square of 128-bit vectors: 4 x 4 floats or 2 x 2 doubles.
template <class T>
HWY_INLINE void transpose_square(const T* in, std::int64_t in_stride, T* out, std::int64_t out_stride) {
  const hn::FixedTag<T, 16 / sizeof(T)> d;
  if constexpr (sizeof(T) == sizeof(double)) {
    const auto a = hn::LoadU(d, in);
    const auto b = hn::LoadU(d, in + in_stride);
    hn::StoreU(hn::InterleaveLower(d, a, b), d, out);
    hn::StoreU(hn::InterleaveUpper(d, a, b), d, out + out_stride);
  } else {
    const auto a = hn::LoadU(d, in);
    const auto b = hn::LoadU(d, in + in_stride);
    const auto c = hn::LoadU(d, in + 2 * in_stride);
    const auto e = hn::LoadU(d, in + 3 * in_stride);
    const auto lower_ab = hn::InterleaveLower(d, a, b);
    const auto lower_ce = hn::InterleaveLower(d, c, e);
    const auto upper_ab = hn::InterleaveUpper(d, a, b);
    const auto upper_ce = hn::InterleaveUpper(d, c, e);
    hn::StoreU(hn::ConcatLowerLower(d, lower_ce, lower_ab), d, out);
    hn::StoreU(hn::ConcatUpperUpper(d, lower_ce, lower_ab), d, out + out_stride);
    hn::StoreU(hn::ConcatLowerLower(d, upper_ce, upper_ab), d, out + 2 * out_stride);
    hn::StoreU(hn::ConcatUpperUpper(d, upper_ce, upper_ab), d, out + 3 * out_stride);
  }
}
#endif

// A cache line of each column at a time, so that columns a power of two apart do not drive out each other's.
template <class T>
void pack_columns(const T* columns, std::int64_t stride, std::int64_t count, std::int64_t depth, T* panel) {
  constexpr std::int64_t cols = 2 * HWY_LANES(T);
  constexpr auto line = static_cast<std::int64_t>(64 / sizeof(T));
  for (std::int64_t begin = 0; begin < depth; begin += line) {
    const std::int64_t end = std::min(depth, begin + line);
    std::int64_t j = 0;
#if HWY_TARGET != HWY_SCALAR
    constexpr std::int64_t side = 16 / sizeof(T);
    for (; j + side <= count; j += side) {
      const T* const column = columns + j * stride;
      std::int64_t p = begin;
      for (; p + side <= end; p += side) transpose_square(column + p, stride, panel + p * cols + j, cols);
      for (; p < end; ++p)
        for (std::int64_t i = 0; i < side; ++i) panel[p * cols + j + i] = column[i * stride + p];
    }
#endif
    for (; j < count; ++j)
      for (std::int64_t p = begin; p < end; ++p) panel[p * cols + j] = columns[j * stride + p];
    for (std::int64_t p = begin; p < end; ++p) std::fill_n(panel + p * cols + count, cols - count, T(0));
  }
}

template <class T>
const Microkernel<T>& describe() {
  static const Microkernel<T> kernel{.rows = kRows,
                                     .cols = 2 * HWY_LANES(T),
                                     .run_rows = all_rows<T>(std::make_integer_sequence<int, kRows>()),
                                     .narrow_rows = kNarrowRows,
                                     .narrow_stride = kNarrowStride,
                                     .run_columns = &run_columns<T>,
                                     .scatter_row = &scatter_row<T>,
                                     .pack_columns = &pack_columns<T>,
                                     .target = hwy::TargetName(HWY_TARGET)};
  return kernel;
}

const Microkernel<float>& describe_float() { return describe<float>(); }
const Microkernel<double>& describe_double() { return describe<double>(); }

}  // namespace HWY_NAMESPACE
}  // namespace dcl::tensor::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace dcl::tensor::cpu {

DCL_VECTOR_DISPATCH(describe_float, template <> const Microkernel<float>& microkernel<float>())
DCL_VECTOR_DISPATCH(describe_double, template <> const Microkernel<double>& microkernel<double>())

}  // namespace dcl::tensor::cpu
#endif  // HWY_ONCE
