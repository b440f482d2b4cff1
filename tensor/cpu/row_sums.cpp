#include "tensor/cpu/row_sums.h"

#include "tensor/cpu/vector_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tensor/cpu/row_sums.cpp"
#include <hwy/foreach_target.h>
// foreach_target.h comes first: it includes this file again for every instruction set.
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace dcl::tensor::cpu {
namespace HWY_NAMESPACE {
namespace {  // several files have kernels of these names

// Running sums of dot: four vectors of eight doubles, enough for the additions not to wait for each other.
constexpr std::int64_t kLanes = 32;
constexpr std::int64_t kRows = 4;

template <class T>
double dot(std::int64_t n, const T* HWY_RESTRICT a, const T* HWY_RESTRICT b) {
  double lanes[kLanes] = {};
  std::int64_t c = 0;
  for (; c + kLanes <= n; c += kLanes)
    for (std::int64_t lane = 0; lane < kLanes; ++lane)
      lanes[lane] += static_cast<double>(widened(a[c + lane])) * static_cast<double>(widened(b[c + lane]));
  for (std::int64_t lane = 0; c < n; ++c, ++lane)
    lanes[lane] += static_cast<double>(widened(a[c])) * static_cast<double>(widened(b[c]));
  for (std::int64_t half = kLanes / 2; half > 0; half /= 2)
    for (std::int64_t lane = 0; lane < half; ++lane) lanes[lane] += lanes[lane + half];
  return lanes[0];
}

template <int rows, class T>
void add_few(std::int64_t channels, std::int64_t stride, const T* HWY_RESTRICT x, double* HWY_RESTRICT sums) {
  for (std::int64_t c = 0; c < channels; ++c) {
    Compute<T> s = widened(x[c]);
#pragma GCC unroll 4
    for (int r = 1; r < rows; ++r) s += widened(x[r * stride + c]);
    sums[c] += static_cast<double>(s);
  }
}

template <class T>
void add_rows(std::int64_t rows, std::int64_t channels, std::int64_t stride, const T* x, double* sums) {
  std::int64_t r = 0;
  for (; r + kRows <= rows; r += kRows) add_few<kRows>(channels, stride, x + r * stride, sums);
  for (; r < rows; ++r) add_few<1>(channels, stride, x + r * stride, sums);
}

template <class T>
void add_row(std::int64_t n, const T* x, T* sum) {
#ifndef __clang__
#pragma GCC ivdep  // x may be sum
#endif
  for (std::int64_t c = 0; c < n; ++c) sum[c] = static_cast<T>(widened(sum[c]) + widened(x[c]));
}

template <class T>
void divide(std::int64_t n, const T* HWY_RESTRICT x, Compute<T> by, T* HWY_RESTRICT y) {
  for (std::int64_t c = 0; c < n; ++c) y[c] = static_cast<T>(widened(x[c]) / by);
}

template <class T>
const RowSums<T>& sums_of() {
  static constexpr RowSums<T> all{dot<T>, add_rows<T>, add_row<T>, divide<T>};
  return all;
}

const RowSums<float>& float_sums() { return sums_of<float>(); }
const RowSums<double>& double_sums() { return sums_of<double>(); }
const RowSums<bfloat16>& bfloat16_sums() { return sums_of<bfloat16>(); }

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace dcl::tensor::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace dcl::tensor::cpu {

DCL_VECTOR_DISPATCH(float_sums, template <> const RowSums<float>& row_sums<float>())
DCL_VECTOR_DISPATCH(double_sums, template <> const RowSums<double>& row_sums<double>())
DCL_VECTOR_DISPATCH(bfloat16_sums, template <> const RowSums<bfloat16>& row_sums<bfloat16>())

}  // namespace dcl::tensor::cpu
#endif  // HWY_ONCE
