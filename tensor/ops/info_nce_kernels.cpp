#include "tensor/ops/info_nce_kernels.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "tensor/cpu/vector_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tensor/ops/info_nce_kernels.cpp"
#include <hwy/foreach_target.h>
// foreach_target.h comes first: it includes this file again for every instruction set.
#include <hwy/contrib/math/math-inl.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace dcl::tensor::cpu {
namespace HWY_NAMESPACE {
namespace {  // several files have kernels of these names

namespace hn = hwy::HWY_NAMESPACE;

template <class T>
T largest(const T* row, std::int64_t n) {
  const hn::ScalableTag<T> d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  auto wide = hn::Set(d, -std::numeric_limits<T>::infinity());
  std::int64_t i = 0;
  for (; i + lanes <= n; i += lanes) wide = hn::Max(wide, hn::LoadU(d, row + i));
  T result = hn::GetLane(hn::MaxOfLanes(d, wide));
  for (; i < n; ++i) result = std::max(result, row[i]);
  return result;
}

// e^x in at most 1 ulp; Highway's own gives 0 for NaN.
template <class D, class V>
HWY_INLINE V exp_of(D d, V x) {
  return hn::IfThenElse(hn::Eq(x, x), hn::Exp(d, x), x);
}

// row[i] = e^(row[i] − maximum); returns their sum.
template <class T>
T exponentials(T* row, std::int64_t n, T maximum) {
  const hn::ScalableTag<T> d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  const auto shift = hn::Set(d, maximum);
  auto wide = hn::Zero(d);
  std::int64_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    const auto weight = exp_of(d, hn::Sub(hn::LoadU(d, row + i), shift));
    hn::StoreU(weight, d, row + i);
    wide = hn::Add(wide, weight);
  }
  T sum = hn::GetLane(hn::SumOfLanes(d, wide));
  const hn::CappedTag<T, 1> one;
  for (; i < n; ++i) {
    row[i] = hn::GetLane(exp_of(one, hn::Set(one, row[i] - maximum)));
    sum += row[i];
  }
  return sum;
}

template <class T>
void fold(ScoreBlock size, T* scores, T* maximum, double* sum, T* correction) {
  for (std::int64_t r = 0; r < size.rows; ++r) {
    T* row = scores + r * size.keys;
    const T before = maximum[r];
    maximum[r] = std::max(before, largest(row, size.keys));
    correction[r] = std::exp(before - maximum[r]);
    sum[r] = sum[r] * static_cast<double>(correction[r]) +
             static_cast<double>(exponentials(row, size.keys, maximum[r]));
  }
}

FoldScores<float> float_fold() { return fold<float>; }
FoldScores<double> double_fold() { return fold<double>; }

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace dcl::tensor::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace dcl::tensor::cpu {

DCL_VECTOR_DISPATCH(float_fold, template <> FoldScores<float> fold_scores<float>())
DCL_VECTOR_DISPATCH(double_fold, template <> FoldScores<double> fold_scores<double>())

}  // namespace dcl::tensor::cpu
#endif  // HWY_ONCE
