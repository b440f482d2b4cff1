#include "tensor/ops/linear_kernels.h"

#include <algorithm>

#include "tensor/cpu/features.h"
#include "tensor/cpu/prefetch.h"
#include "tensor/cpu/vector_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tensor/ops/linear_kernels.cpp"
#include <hwy/foreach_target.h>
// foreach_target.h comes first: it includes this file again for every instruction set.
#include <hwy/cache_control.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace dcl::tensor::cpu {
namespace HWY_NAMESPACE {
namespace {  // several files have kernels of these names

namespace hn = hwy::HWY_NAMESPACE;
using Wide = hn::ScalableTag<float>;
using One = hn::CappedTag<float, 1>;  // what is left of a row

template <bool rounded, class D>
HWY_INLINE hn::Vec<D> load_weight(D d, const float* from) {
  const auto value = hn::LoadU(d, from);
  if constexpr (!rounded) {
    return value;
  } else {  // to the nearest, ties to even; NaN stays
    const hn::RebindToUnsigned<D> u;
    const auto bits = hn::BitCast(u, value);
    const auto odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(u, 1));
    const auto up = hn::Add(bits, hn::Add(odd, hn::Set(u, 0x7FFF)));
    return hn::IfThenElse(hn::Eq(value, value), hn::BitCast(d, hn::And(up, hn::Set(u, 0xFFFF0000))), value);
  }
}

template <class D>
constexpr std::int64_t lanes_of(D d) {
  return static_cast<std::int64_t>(hn::MaxLanes(d));
}

// Rows of w that are multiplied at a time: with eight of x 24 of 32 registers hold sums, or all 16.
constexpr int kOuts = HWY_TARGET == HWY_AVX3 ? 3 : 2;
// Numbers of each that are copied at a time to where they stay in the first-level cache: rows of a power of
// two lie on one set of it.
constexpr std::int64_t kDepth = 2048;
// That begin at, and lie apart by, multiples of a vector.
using AlignedRows = RowsOf<const float>;

// Running sums of rows of x times rows of w; y grows by them unless they are the `first`.
template <int rows, int outs>
void dots(std::int64_t in, RowsOf<const float> x, AlignedRows w, RowsOf<float> y, bool first) {
  const Wide d;
  constexpr std::int64_t lanes = lanes_of(Wide());
  hn::Vec<Wide> sums[outs][rows];
#pragma GCC unroll 4
  for (int o = 0; o < outs; ++o)
#pragma GCC unroll 8
    for (int m = 0; m < rows; ++m) sums[o][m] = hn::Zero(d);
  std::int64_t i = 0;
  for (; i + lanes <= in; i += lanes) {
    hn::Vec<Wide> weight[outs];
#pragma GCC unroll 4
    for (int o = 0; o < outs; ++o) weight[o] = hn::Load(d, w.data + o * w.stride + i);
#pragma GCC unroll 8
    for (int m = 0; m < rows; ++m) {
      const auto value = hn::LoadU(d, x.data + m * x.stride + i);
#pragma GCC unroll 4
      for (int o = 0; o < outs; ++o) sums[o][m] = hn::MulAdd(value, weight[o], sums[o][m]);
    }
  }
  for (int o = 0; o < outs; ++o)
    for (int m = 0; m < rows; ++m) {
      float sum = hn::GetLane(hn::SumOfLanes(d, sums[o][m]));
      for (std::int64_t j = i; j < in; ++j) sum += x.data[m * x.stride + j] * w.data[o * w.stride + j];
      float& to = y.data[m * y.stride + o];
      to = first ? sum : to + sum;
    }
}

template <class T>
HWY_INLINE RowsOf<T> from_row(RowsOf<T> all, std::int64_t row) {
  return {all.data + row * all.stride, all.stride};
}

template <int outs>
void dots_of_rows(std::int64_t rows, std::int64_t in, RowsOf<const float> x, AlignedRows w, RowsOf<float> y,
                  bool first) {
  std::int64_t m = 0;
  for (; m + 8 <= rows; m += 8) dots<8, outs>(in, from_row(x, m), w, from_row(y, m), first);
  for (; m + 4 <= rows; m += 4) dots<4, outs>(in, from_row(x, m), w, from_row(y, m), first);
  for (; m < rows; ++m) dots<1, outs>(in, from_row(x, m), w, from_row(y, m), first);
}

// Rows that are read beside each other look to the processor like no stream.
HWY_INLINE void prefetch_rows(RowsOf<const float> w, std::int64_t rows, std::int64_t in) {
  for (std::int64_t o = 0; o < rows; ++o) prefetch_to_l2(w.data + o * w.stride, in);
}

template <bool rounded>
void copy_weights(const float* HWY_RESTRICT from, std::int64_t n, float* HWY_RESTRICT to) {
  constexpr std::int64_t lanes = lanes_of(Wide());
  std::int64_t i = 0;
  for (; i + lanes <= n; i += lanes) hn::Store(load_weight<rounded>(Wide(), from + i), Wide(), to + i);
  for (; i < n; ++i) to[i] = hn::GetLane(load_weight<rounded>(One(), from + i));
}

template <bool rounded, int outs>
void few_outs(std::int64_t rows, std::int64_t in, RowsOf<const float> x, RowsOf<const float> w,
              RowsOf<float> y) {
  constexpr std::int64_t kStride = kDepth + 16;
  alignas(64) float copy[outs * kStride];
  for (std::int64_t i = 0; i < in; i += kDepth) {
    const std::int64_t depth = std::min(kDepth, in - i);
    for (int o = 0; o < outs; ++o)
      copy_weights<rounded>(w.data + o * w.stride + i, depth, copy + o * kStride);
    dots_of_rows<outs>(rows, depth, {x.data + i, x.stride}, {copy, kStride}, y, i == 0);
  }
}

template <bool rounded>
void forward(std::int64_t rows, std::int64_t out, std::int64_t in, RowsOf<const float> x,
             RowsOf<const float> w, RowsOf<float> y) {
  std::int64_t o = 0;
  for (; o + kOuts <= out; o += kOuts) {
    prefetch_rows(from_row(w, o + kOuts), kOuts, in);
    few_outs<rounded, kOuts>(rows, in, x, from_row(w, o), {y.data + o, y.stride});
  }
  for (; o < out; ++o) few_outs<rounded, 1>(rows, in, x, from_row(w, o), {y.data + o, y.stride});
}

// dx[m,i …] grows by `outs` of its terms.
template <bool rounded, int outs, class D>
HWY_INLINE void add_terms(D d, std::int64_t rows, std::int64_t i, RowsOf<const float> dy,
                          RowsOf<const float> w, RowsOf<float> dx) {
  hn::Vec<D> weight[outs];
#pragma GCC unroll 8
  for (int o = 0; o < outs; ++o) weight[o] = load_weight<rounded>(d, w.data + o * w.stride + i);
  for (std::int64_t m = 0; m < rows; ++m) {
    float* const to = dx.data + m * dx.stride + i;
    auto sum = hn::LoadU(d, to);
#pragma GCC unroll 8
    for (int o = 0; o < outs; ++o) sum = hn::MulAdd(hn::Set(d, dy.data[m * dy.stride + o]), weight[o], sum);
    hn::StoreU(sum, d, to);
  }
}

template <bool rounded, int outs>
void add_rows_of_weight(std::int64_t rows, std::int64_t in, RowsOf<const float> dy, RowsOf<const float> w,
                        RowsOf<float> dx) {
  constexpr std::int64_t lanes = lanes_of(Wide());
  std::int64_t i = 0;
  for (; i + lanes <= in; i += lanes) add_terms<rounded, outs>(Wide(), rows, i, dy, w, dx);
  for (; i < in; ++i) add_terms<rounded, outs>(One(), rows, i, dy, w, dx);
}

template <bool rounded>
void backward_x(std::int64_t rows, std::int64_t out, std::int64_t in, RowsOf<const float> dy,
                RowsOf<const float> w, RowsOf<float> dx) {
  for (std::int64_t m = 0; m < rows; ++m) std::fill_n(dx.data + m * dx.stride, in, 0.0F);
  std::int64_t o = 0;
  for (; o + 8 <= out; o += 8) {
    prefetch_rows(from_row(w, o + 8), 8, in);
    add_rows_of_weight<rounded, 8>(rows, in, {dy.data + o, dy.stride}, from_row(w, o), dx);
  }
  for (; o < out; ++o) add_rows_of_weight<rounded, 1>(rows, in, {dy.data + o, dy.stride}, from_row(w, o), dx);
}

// dw[o …,i …] of `outs` rows.
template <int outs, class D>
HWY_INLINE void outer_products(D d, std::int64_t rows, std::int64_t i, RowsOf<const float> dy,
                               RowsOf<const float> x, RowsOf<float> dw, bool stream) {
  hn::Vec<D> sums[outs];
#pragma GCC unroll 8
  for (int o = 0; o < outs; ++o) sums[o] = hn::Zero(d);
  for (std::int64_t m = 0; m < rows; ++m) {
    const auto value = hn::LoadU(d, x.data + m * x.stride + i);
#pragma GCC unroll 8
    for (int o = 0; o < outs; ++o)
      sums[o] = hn::MulAdd(hn::Set(d, dy.data[m * dy.stride + o]), value, sums[o]);
  }
#pragma GCC unroll 8
  for (int o = 0; o < outs; ++o) {
    float* const to = dw.data + o * dw.stride + i;
    if (stream)
      hn::Stream(sums[o], d, to);
    else
      hn::StoreU(sums[o], d, to);
  }
}

template <int outs>
void rows_of_gradient(std::int64_t rows, std::int64_t in, RowsOf<const float> dy, RowsOf<const float> x,
                      RowsOf<float> dw, bool stream) {
  constexpr std::int64_t lanes = lanes_of(Wide());
  std::int64_t i = 0;
  for (; i + lanes <= in; i += lanes) outer_products<outs>(Wide(), rows, i, dy, x, dw, stream);
  for (; i < in; ++i) outer_products<outs>(One(), rows, i, dy, x, dw, false);
}

void backward_weight(std::int64_t rows, std::int64_t out, std::int64_t in, RowsOf<const float> dy,
                     RowsOf<const float> x, RowsOf<float> dw, bool stream) {
  std::int64_t o = 0;
  for (; o + 8 <= out; o += 8)
    rows_of_gradient<8>(rows, in, {dy.data + o, dy.stride}, x, from_row(dw, o), stream);
  for (; o < out; ++o) rows_of_gradient<1>(rows, in, {dy.data + o, dy.stride}, x, from_row(dw, o), stream);
  if (stream) hwy::FlushStream();
}

template <bool rounded>
const FewRowsKernels<float>& describe() {
  static constexpr FewRowsKernels<float> kernels{
      .forward = &forward<rounded>, .backward_x = &backward_x<rounded>, .backward_weight = &backward_weight};
  return kernels;
}

const FewRowsKernels<float>& plain_weights() { return describe<false>(); }
const FewRowsKernels<float>& rounded_weights() { return describe<true>(); }
const FewRowsKernels<bfloat16>* of_bfloat16() {
  return HWY_TARGET == HWY_AVX3 && avx512_bf16_allowed() ? &few_rows_kernels_avx512() : nullptr;
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace dcl::tensor::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace dcl::tensor::cpu {

DCL_VECTOR_DISPATCH(plain_weights, static const FewRowsKernels<float>& kernels_of_plain_weights())
DCL_VECTOR_DISPATCH(of_bfloat16, const FewRowsKernels<bfloat16>* bfloat16_few_rows_kernels())
DCL_VECTOR_DISPATCH(rounded_weights, static const FewRowsKernels<float>& kernels_of_rounded_weights())

const FewRowsKernels<float>& few_rows_kernels(bool rounded) {
  return rounded ? kernels_of_rounded_weights() : kernels_of_plain_weights();
}

}  // namespace dcl::tensor::cpu
#endif  // HWY_ONCE
