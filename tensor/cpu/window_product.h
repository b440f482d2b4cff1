// y = act(windows · b + bias + residual): gathered rows times a packed matrix, the product behind a
// convolution's forward pass and its input gradient.
#pragma once

#include <functional>

#include "tensor/cpu/epilogue.h"
#include "tensor/cpu/im2col.h"
#include "tensor/cpu/streaming.h"
#include "tensor/tensor.h"

namespace dcl::tensor::cpu {

/// The right operand [depth,cols], stored as the microkernel reads it: blocks of at most kMaxDepth rows, in
/// each panels of microkernel.cols columns, the last one filled up with zeros.
template <class T>
class PackedMatrix {
 public:
  /// fill(row, out) writes row `row` to out[0 … cols-1].
  using FillRow = std::function<void(std::int64_t row, T* out)>;
  PackedMatrix(std::int64_t depth, std::int64_t cols, std::int64_t unit, const FillRow& fill);
  /// From the transposed matrix [cols,depth].
  static PackedMatrix from_transposed(std::int64_t depth, std::int64_t cols, std::int64_t unit,
                                      const T* transposed);

  std::int64_t depth() const { return depth_; }
  std::int64_t cols() const { return cols_; }
  std::int64_t panels() const { return panels_; }
  std::int64_t blocks() const { return blocks_; }
  /// First row of a block; begin(blocks()) is the depth.
  std::int64_t begin(std::int64_t block) const {
    return block / pieces_ * unit_ + unit_ * (block % pieces_) / pieces_;
  }
  const T* panel(std::int64_t block, std::int64_t panel) const;

 private:
  PackedMatrix(std::int64_t depth, std::int64_t cols, std::int64_t unit);

  std::int64_t depth_, cols_, unit_, panels_;
  std::int64_t pieces_;  // blocks of a unit
  std::int64_t blocks_;
  Tensor storage_;
  T* values_;
};

/// Where the rows of a product go: row (n,p,q) to y + n·image_stride + p·row_stride + q·pixel_stride.
template <class T>
struct RowGrid {
  T* y;
  std::int64_t image_stride, row_stride, pixel_stride;
  bool stream = false;  // past the caches (streaming.h)
  bool add = false;     // to what is there; then there is no epilogue
};

/// Where the forward pass's results of group `g` go.
template <class T>
RowGrid<T> forward_grid(const Conv2dSizes& z, T* y, std::int64_t g) {
  return {.y = y + g * z.group_out(),
          .image_stride = z.out_h * z.out_w * z.out_channels,
          .row_stride = z.out_w * z.out_channels,
          .pixel_stride = z.out_channels,
          .stream = pays_to_stream(z.out_rows() * z.out_channels * static_cast<std::int64_t>(sizeof(T)))};
}

/// Computes `rows` rows. Where a strip of rows has only zeros from outside the picture in a block, it is left
/// out. The epilogue's bias is [cols]; its residual has the layout of grid.y.
template <class T>
void window_product(const Windows<T>& windows, std::int64_t rows, const PackedMatrix<T>& b,
                    const Epilogue<T>& epilogue, const RowGrid<T>& grid);

}  // namespace dcl::tensor::cpu
