// gemm's product by the microkernel of the convolutions: op(b) is packed into panels, a group of them at a
// time that stays in the second-level cache, and strips of rows of op(a) pass by.
#include <algorithm>
#include <array>

#include "tensor/cpu/multiply_tile.h"
#include "tensor/cpu/products.h"
#include "tensor/cpu/ranges.h"
#include "tensor/tensor.h"

namespace dcl::tensor::cpu {

namespace {

template <class T>
class PackedProduct {
 public:
  explicit PackedProduct(const Product<T>& p)
      : p_(p),
        strip_rows_(p.transpose_a ? kernel_.narrow_rows : kernel_.rows),
        strips_(divide_up(p.m, strip_rows_)),
        blocks_(divide_up(p.k, kMaxDepth)),
        depth_(divide_up(p.k, blocks_)),
        group_(std::clamp<std::int64_t>(kRightOperand / (depth_ * kernel_.cols), 1,
                                        divide_up(p.n, kernel_.cols))),
        panels_(Tensor::empty({group_, depth_, kernel_.cols}, options)),
        strip_(
            Tensor::empty({std::max(kernel_.rows * kPackedStride, depth_ * kernel_.narrow_stride)}, options)),
        zeros_(Tensor::zeros({kernel_.cols}, options)) {}

  void run() {
    if (p_.beta != T(0) && p_.beta != T(1))
      for (std::int64_t i = 0; i < p_.m; ++i)
        for (std::int64_t j = 0; j < p_.n; ++j) p_.c[i * p_.ldc + j] *= p_.beta;
    const std::int64_t width = group_ * kernel_.cols;
    for (std::int64_t column = 0; column < p_.n; column += width)
      for (std::int64_t block = 0; block < blocks_; ++block)
        run_group({column, std::min(column + width, p_.n)},
                  {p_.k * block / blocks_, p_.k * (block + 1) / blocks_}, block == 0 && p_.beta == T(0));
  }

 private:
  static constexpr TensorOptions options{dtype_of<T>, {}};

  // Columns of c, and the terms of their sums.
  void run_group(Range columns, Range k, bool overwrite) {
    for (std::int64_t j = columns.begin; j < columns.end; j += kernel_.cols) pack_panel(j, columns, k);
    for (std::int64_t strip = 0; strip < strips_; ++strip) {
      const Range rows{p_.m * strip / strips_, p_.m * (strip + 1) / strips_};
      const Left left = left_operand(rows, k);
      for (std::int64_t j = columns.begin; j < columns.end; j += kernel_.cols)
        multiply(rows, left, {j, std::min(j + kernel_.cols, columns.end)}, panel_at(j, columns), k.size(),
                 overwrite);
    }
  }

  T* panel_at(std::int64_t column, Range columns) {
    return panels_.template data<T>() + (column - columns.begin) * depth_;
  }

  // alpha · op(b), rows k, the columns from j on.
  void pack_panel(std::int64_t j, Range columns, Range k) {
    T* const panel = panel_at(j, columns);
    const std::int64_t count = std::min(kernel_.cols, columns.end - j);
    if (p_.transpose_b) {
      kernel_.pack_columns(p_.b + j * p_.ldb + k.begin, p_.ldb, count, k.size(), panel);
    } else {
      for (std::int64_t i = 0; i < k.size(); ++i) {
        T* const row = panel + i * kernel_.cols;
        std::copy_n(p_.b + (k.begin + i) * p_.ldb + j, count, row);
        std::fill_n(row + count, kernel_.cols - count, T(0));
      }
    }
    if (p_.alpha == T(1)) return;
    for (std::int64_t i = 0; i < k.size() * kernel_.cols; ++i) panel[i] *= p_.alpha;
  }

  // Rows of op(a): element (i,p) at data[i·stride + p], or at data[p·stride + i] when a is transposed.
  struct Left {
    const T* data;
    std::int64_t stride;
  };

  Left left_operand(Range rows, Range k) {
    T* const packed = strip_.template data<T>();
    if (p_.transpose_a) {
      const std::int64_t stride = kernel_.narrow_stride;
      for (std::int64_t i = 0; i < k.size(); ++i) {
        T* const row = packed + i * stride;
        std::copy_n(p_.a + (k.begin + i) * p_.lda + rows.begin, rows.size(), row);
        std::fill_n(row + rows.size(), stride - rows.size(), T(0));
      }
      return {packed, stride};
    }
    const T* const a = p_.a + rows.begin * p_.lda + k.begin;
    if (p_.lda * static_cast<std::int64_t>(sizeof(T)) <= kMaxBytesInPlace) return {a, p_.lda};
    for (std::int64_t i = 0; i < rows.size(); ++i)
      std::copy_n(a + i * p_.lda, k.size(), packed + i * kPackedStride);
    return {packed, kPackedStride};
  }

  void multiply(Range rows, const Left& left, Range columns, const T* panel, std::int64_t depth,
                bool overwrite) {
    const T* const zeros = zeros_.template data<T>();
    std::array<T*, kMaxTileRows> c;
    for (std::int64_t i = 0; i < rows.size(); ++i) {
      T* const row = p_.c + (rows.begin + i) * p_.ldc + columns.begin;
      for (std::int64_t j = 0; j < columns.size(); j += static_cast<std::int64_t>(64 / sizeof(T)))
        __builtin_prefetch(row + j, 1);
      c[static_cast<std::size_t>(i)] = row;
    }
    const TileSizes sizes{.tile_rows = p_.transpose_a ? kernel_.narrow_rows : rows.size(),
                          .tile_cols = kernel_.cols,
                          .rows = rows.size(),
                          .cols = columns.size()};
    on_tile<T>(sizes, !overwrite, c.data(), [&](T* const* all) {
      const T* const bias = overwrite ? zeros : nullptr;
      if (p_.transpose_a) {
        kernel_.run_columns(left.data, left.stride, panel, kernel_.cols, depth, bias, all);
      } else {
        kernel_.run_rows[static_cast<std::size_t>(rows.size())](left.data, left.stride, panel, depth,
                                                                {.bias = bias}, all);
      }
    });
  }

  const Microkernel<T>& kernel_ = microkernel<T>();
  const Product<T>& p_;
  std::int64_t strip_rows_, strips_;
  std::int64_t blocks_, depth_;  // of the sums
  std::int64_t group_;           // panels packed at a time
  Tensor panels_, strip_, zeros_;
};

}  // namespace

template <class T>
void packed_product(const Product<T>& p) {
  PackedProduct<T>(p).run();
}

template void packed_product<float>(const Product<float>&);
template void packed_product<double>(const Product<double>&);

}  // namespace dcl::tensor::cpu
