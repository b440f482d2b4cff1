#include <algorithm>

#include "tensor/cpu/gemm.h"
#include "tensor/cpu/threads.h"
#include "tensor/ops/cast.h"
#include "tensor/ops/conv2d.h"
#include "tensor/ops/linear.h"
#include "tensor/ops/reduce.h"

namespace dcl::tensor::cpu {

namespace {

// In bfloat16 the layer is a 1×1 convolution of rows [M,1,1,I] with weight [O,1,1,I].
Tensor as_pictures(const Tensor& x, std::int64_t rows) { return x.reshape({rows, 1, 1, x.size(-1)}); }
Tensor as_kernels(const Tensor& weight) { return weight.reshape({weight.size(0), 1, 1, weight.size(1)}); }

// Any of the three products; the operands are its tensors.
void count(const LinearSizes& s, std::initializer_list<const Tensor*> operands) {
  if (!profiling()) return;
  count_work({2 * static_cast<double>(s.rows * s.in * s.out), bytes_of(operands)},
             fmt::format("{}x{} -> {}", s.rows, s.in, s.out));
}

}  // namespace

Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias) {
  const LinearSizes s = linear_sizes(x, weight, bias);
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
