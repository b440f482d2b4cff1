#include <algorithm>
#include <array>

#include "tensor/cpu/features.h"
#include "tensor/cpu/gemm.h"
#include "tensor/cpu/ranges.h"
#include "tensor/cpu/streaming.h"
#include "tensor/cpu/threads.h"
#include "tensor/ops/cast.h"
#include "tensor/ops/conv2d.h"
#include "tensor/ops/linear.h"
#include "tensor/ops/linear_kernels.h"
#include "tensor/ops/reduce.h"

namespace dcl::tensor::cpu {

namespace {

// In bfloat16 the layer of many rows is a 1×1 convolution of rows [M,1,1,I] with weight [O,1,1,I].
Tensor as_pictures(const Tensor& x, std::int64_t rows) { return x.reshape({rows, 1, 1, x.size(-1)}); }
Tensor as_kernels(const Tensor& weight) { return weight.reshape({weight.size(0), 1, 1, weight.size(1)}); }

bool few_rows(const LinearSizes& s, DType dtype) {
  return fast_paths() && s.rows > 0 && s.rows <= kFewRows && s.in > 0 && s.out > 0 && dtype != DType::float64;
}

// Ranges of about so many weights.
constexpr std::int64_t kGrain = 1 << 16;
// Threads do not share the cache lines of a row.
constexpr std::int64_t kPanel = 64;
// Columns of a gradient that are summed beside each other, out of the way of a first-level cache in which
// rows of 2,048 numbers share one set.
constexpr std::int64_t kSumCols = 128;

template <class T>
RowsOf<T> rows_of(T* data, std::int64_t stride) {
  return {data, stride};
}

// Calls body(kernels) with those that read activations of `dtype` as they are, or else as floats.
template <class F>
void with_few_rows_kernels(DType dtype, F body) {
  const bool rounded = dtype == DType::bfloat16;
  const auto* const of_bfloat16 = rounded ? bfloat16_few_rows_kernels() : nullptr;
  if (of_bfloat16 != nullptr)
    body(*of_bfloat16);
  else
    body(few_rows_kernels(rounded));
}

// y of `few_rows`, in float32.
Tensor few_rows_forward(const LinearSizes& s, const Tensor& x, const Tensor& weight, const Tensor& bias) {
  Tensor y = Tensor::empty(with_last_size(x.shape(), s.out), {DType::float32, {}});
  const auto* w = weight.data<float>();
  auto* out = y.data<float>();
  with_few_rows_kernels(x.dtype(), [&]<class X>(const FewRowsKernels<X>& kernels) {
    const Tensor values = cast(x, dtype_of<X>);
    parallel_for(divide_up(s.out, kPanel), kGrain / (kPanel * s.in) + 1,
                 [&](std::int64_t first, std::int64_t last) {
                   const std::int64_t begin = first * kPanel;
                   const std::int64_t count = std::min(last * kPanel, s.out) - begin;
                   kernels.forward(s.rows, count, s.in, rows_of(values.data<X>(), s.in),
                                   rows_of(w + begin * s.in, s.in), rows_of(out + begin, s.out));
                   if (!bias.defined()) return;
                   for (std::int64_t row = 0; row < s.rows; ++row)
                     for (std::int64_t o = begin; o < begin + count; ++o)
                       out[row * s.out + o] += bias.data<float>()[o];
                 });
  });
  return y;
}

Tensor few_rows_backward_x(const LinearSizes& s, const Tensor& grad_y, const Tensor& weight) {
  Tensor grad_x = Tensor::empty(with_last_size(grad_y.shape(), s.in), {DType::float32, {}});
  const auto* w = weight.data<float>();
  auto* out = grad_x.data<float>();
  with_few_rows_kernels(grad_y.dtype(), [&]<class X>(const FewRowsKernels<X>& kernels) {
    const Tensor dy = cast(grad_y, dtype_of<X>);
    parallel_for(divide_up(s.in, kSumCols), kGrain / (kSumCols * s.out) + 1,
                 [&](std::int64_t first, std::int64_t last) {
                   constexpr std::int64_t kStride = kSumCols + 16;
                   alignas(64) std::array<float, kFewRows * kStride> sums;
                   for (std::int64_t i = first * kSumCols; i < std::min(last * kSumCols, s.in);
                        i += kSumCols) {
                     const std::int64_t cols = std::min(kSumCols, s.in - i);
                     kernels.backward_x(s.rows, s.out, cols, rows_of(dy.data<X>(), s.out),
                                        rows_of(w + i, s.in), rows_of(sums.data(), kStride));
                     for (std::int64_t row = 0; row < s.rows; ++row)
                       std::copy_n(sums.data() + row * kStride, cols, out + row * s.in + i);
                   }
                 });
  });
  return grad_x;
}

Tensor few_rows_backward_weight(const LinearSizes& s, const Tensor& grad_y, const Tensor& x) {
  Tensor grad_weight = Tensor::empty({s.out, s.in}, {DType::float32, {}});
  auto* out = grad_weight.data<float>();
  const bool stream = pays_to_stream(bytes_of({&grad_weight})) && s.in % 16 == 0 && begins_line(out);
  with_few_rows_kernels(x.dtype(), [&]<class X>(const FewRowsKernels<X>& kernels) {
    const Tensor dy = cast(grad_y, dtype_of<X>);
    const Tensor values = cast(x, dtype_of<X>);
    parallel_for(
        divide_up(s.out, kPanel), kGrain / (kPanel * s.in) + 1, [&](std::int64_t first, std::int64_t last) {
          const std::int64_t begin = first * kPanel;
          kernels.backward_weight(s.rows, std::min(last * kPanel, s.out) - begin, s.in,
                                  rows_of(dy.data<X>() + begin, s.out), rows_of(values.data<X>(), s.in),
                                  rows_of(out + begin * s.in, s.in), stream);
        });
  });
  return grad_weight;
}

// Any of the three products; the operands are its tensors.
void count(const LinearSizes& s, std::initializer_list<const Tensor*> operands) {
  if (!profiling()) return;
  count_work({2 * static_cast<double>(s.rows * s.in * s.out), bytes_of(operands)},
             fmt::format("{}x{} -> {}", s.rows, s.in, s.out));
}

}  // namespace

Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias) {
  const LinearSizes s = linear_sizes(x, weight, bias);
  if (few_rows(s, x.dtype())) {
    const Tensor y = few_rows_forward(s, x, weight, bias);
    count(s, {&x, &weight, &y});
    return cast(y, x.dtype());
  }
  if (x.dtype() == DType::bfloat16)
    return conv2d(as_pictures(x, s.rows), as_kernels(weight), bias, {})
        .reshape(with_last_size(x.shape(), s.out));
  return dispatch_float(x.dtype(), "linear", [&]<class T>() {
    Tensor y = Tensor::empty(with_last_size(x.shape(), s.out), x.options());
    if (bias.defined())
      for (std::int64_t row = 0; row < s.rows; ++row)
        std::copy_n(bias.data<T>(), s.out, y.data<T>() + row * s.out);
    parallel_gemm(false, true, s.rows, s.out, s.in, T(1), x.data<T>(), s.in, weight.data<T>(), s.in,
                  bias.defined() ? T(1) : T(0), y.data<T>(), s.out);
    count(s, {&x, &weight, &y});
    return y;
  });
}

Tensor linear_backward_x(const Tensor& grad_y, const Tensor& weight) {
  const LinearSizes s = linear_backward_x_sizes(grad_y, weight);
  if (few_rows(s, grad_y.dtype())) {
    const Tensor grad_x = few_rows_backward_x(s, grad_y, weight);
    count(s, {&grad_y, &weight, &grad_x});
    return cast(grad_x, grad_y.dtype());
  }
  if (grad_y.dtype() == DType::bfloat16)
    return conv2d_backward_input(as_pictures(grad_y, s.rows), as_kernels(weight), {s.rows, 1, 1, s.in}, {})
        .reshape(with_last_size(grad_y.shape(), s.in));
  return dispatch_float(grad_y.dtype(), "linear", [&]<class T>() {
    Tensor grad_x = Tensor::empty(with_last_size(grad_y.shape(), s.in), grad_y.options());
    parallel_gemm(false, false, s.rows, s.in, s.out, T(1), grad_y.data<T>(), s.out, weight.data<T>(), s.in,
                  T(0), grad_x.data<T>(), s.in);
    count(s, {&grad_y, &weight, &grad_x});
    return grad_x;
  });
}

Tensor linear_backward_weight(const Tensor& grad_y, const Tensor& x) {
  const LinearSizes s = linear_backward_weight_sizes(grad_y, x);
  if (few_rows(s, x.dtype())) {
    const Tensor grad_weight = few_rows_backward_weight(s, grad_y, x);
    count(s, {&grad_y, &x, &grad_weight});
    return grad_weight;
  }
  if (x.dtype() == DType::bfloat16)
    return conv2d_backward_weight(as_pictures(grad_y, s.rows), as_pictures(x, s.rows), {s.out, 1, 1, s.in},
                                  {})
        .reshape({s.out, s.in});
  return dispatch_float(x.dtype(), "linear", [&]<class T>() {
    Tensor grad_weight = Tensor::empty({s.out, s.in}, x.options());
    parallel_gemm(true, false, s.out, s.in, s.rows, T(1), grad_y.data<T>(), s.out, x.data<T>(), s.in, T(0),
                  grad_weight.data<T>(), s.in);
    count(s, {&grad_y, &x, &grad_weight});
    return grad_weight;
  });
}

Tensor linear_backward_bias(const Tensor& grad_y) {
  check_linear_backward_bias(grad_y);
  return sum_to(cast(grad_y, parameter_dtype(grad_y.dtype())), {grad_y.size(-1)});
}

}  // namespace dcl::tensor::cpu
