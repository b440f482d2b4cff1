// The sizes of nearest_rows and their checks, for both backends.
#pragma once

#include "tensor/tensor.h"

namespace dcl::tensor {

struct NearestRowsSizes {
  std::int64_t entries;
  std::int64_t rows_a;  // of an entry
  std::int64_t rows_b;
  std::int64_t channels;
};

/// Rows are taken for at least this long, as in normalize: a row of zeros stays zeros.
inline constexpr double kNearestRowsEps = 1e-12;

inline NearestRowsSizes nearest_rows_sizes(const Tensor& a, const Tensor& b, std::int64_t entries) {
  check_dim("nearest_rows", "a", a, 2);
  check_dim("nearest_rows", "b", b, 2);
  check_dtype("nearest_rows", "b", b, a.dtype());
  check(a.size(1) == b.size(1), "nearest_rows: rows of a and b differ in width (a {}, b {})", a.shape().str(),
        b.shape().str());
  check(entries > 0 && a.size(0) % entries == 0 && b.size(0) % entries == 0 && b.size(0) > 0,
        "nearest_rows: {} entries do not divide the rows (a {}, b {})", entries, a.shape().str(),
        b.shape().str());
  return {entries, a.size(0) / entries, b.size(0) / entries, a.size(1)};
}

}  // namespace dcl::tensor
