// Sums along, across and of rows of a matrix, and quotients, compiled for several instruction sets; the best
// one for this processor is chosen at run time. What is added to what does not depend on it, so neither do
// the bits.
#pragma once

#include <cstdint>

#include "tensor/dtype.h"

namespace dcl::tensor::cpu {

template <class T>
struct RowSums {
  /// Σ_c a[c]·b[c] of n numbers, in double.
  double (*dot)(std::int64_t n, const T* a, const T* b);
  /// sums[c] += Σ_r x[r·stride + c] for c in [0, channels): four rows at a time in Compute<T>, those sums in
  /// double.
  void (*add_rows)(std::int64_t rows, std::int64_t channels, std::int64_t stride, const T* x, double* sums);
  /// sum[c] += x[c] of n numbers, rounded once.
  void (*add_row)(std::int64_t n, const T* x, T* sum);
  /// y[c] = x[c] / by of n numbers, rounded once; x and y do not overlap.
  void (*divide)(std::int64_t n, const T* x, Compute<T> by, T* y);
};

/// T is float, double or bfloat16 (whose sums are of float).
template <class T>
const RowSums<T>& row_sums();

}  // namespace dcl::tensor::cpu
