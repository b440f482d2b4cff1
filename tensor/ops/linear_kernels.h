// The three products of a linear layer for a few rows, as the global heads have: weights or their gradient
// are most of what is read or written, so each is read or written once, and not packed into panels. Compiled
// for several instruction sets; the best one for this processor is chosen at run time. Sums are of float32,
// in an order that depends on the sizes only.
#pragma once

#include <cstdint>

#include "tensor/dtype.h"

namespace dcl::tensor::cpu {

/// Up to this many rows these are faster than products of packed operands.
inline constexpr std::int64_t kFewRows = 32;

/// Numbers of row r begin at data[r·stride].
template <class T>
struct RowsOf {
  T* data;
  std::int64_t stride;
};

/// X is the type of x and dy, float or bfloat16.
template <class X>
struct FewRowsKernels {
  /// y[m,o] = Σ_i x[m,i]·w[o,i], m < rows, o < out, i < in
  void (*forward)(std::int64_t rows, std::int64_t out, std::int64_t in, RowsOf<const X> x,
                  RowsOf<const float> w, RowsOf<float> y);
  /// dx[m,i] = Σ_o dy[m,o]·w[o,i]
  void (*backward_x)(std::int64_t rows, std::int64_t out, std::int64_t in, RowsOf<const X> dy,
                     RowsOf<const float> w, RowsOf<float> dx);
  /// dw[o,i] = Σ_m dy[m,o]·x[m,i], with `stream` past the caches (tensor/cpu/streaming.h): its rows begin
  /// cache lines.
  void (*backward_weight)(std::int64_t rows, std::int64_t out, std::int64_t in, RowsOf<const X> dy,
                          RowsOf<const X> x, RowsOf<float> dw, bool stream);
};

/// With `rounded` weights count as rounded to bfloat16.
const FewRowsKernels<float>& few_rows_kernels(bool rounded);
/// Of bfloat16, with weights that count as rounded and denormals that count as zeros; null where this
/// processor has no instructions for them.
const FewRowsKernels<bfloat16>* bfloat16_few_rows_kernels();
/// Where avx512_bf16_allowed() (tensor/cpu/features.h).
const FewRowsKernels<bfloat16>& few_rows_kernels_avx512();

}  // namespace dcl::tensor::cpu
