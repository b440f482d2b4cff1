#include "tensor/cuda/blas.h"
#include "tensor/cuda/column_sums.h"
#include "tensor/cuda/kernel.h"
#include "tensor/ops/cast.h"
#include "tensor/ops/linear.h"

namespace dcl::tensor::cuda {

namespace {

// Any of the three products.
void multiply(const LinearSizes& s, const GemmParams& params, const Tensor& a, const Tensor& b, Tensor& c,
              const Tensor& bias = {}) {
  if (profiling())
    count_work({2 * static_cast<double>(s.rows * s.in * s.out), bytes_of({&a, &b, &c})},
               fmt::format("{}x{} -> {}", s.rows, s.in, s.out));
  gemm("linear", params, a.raw(), b.raw(), c.raw(), bias.defined() ? bias.raw() : nullptr);
}

}  // namespace

Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias) {
  const LinearSizes s = linear_sizes(x, weight, bias);
  // The bias has the type of the sums, and is added to them before they are rounded.
  const DType sum_type = bias.defined() ? bias.dtype() : x.dtype();
  Tensor y = Tensor::empty(with_last_size(x.shape(), s.out), {sum_type, x.device()});
  multiply(s,
           {.m = s.rows, .n = s.out, .k = s.in, .transpose_b = true, .input = x.dtype(), .output = sum_type},
           x, cast(weight, x.dtype()), y, bias);
  return cast(y, x.dtype());
}

Tensor linear_backward_x(const Tensor& grad_y, const Tensor& weight) {
  const LinearSizes s = linear_backward_x_sizes(grad_y, weight);
  Tensor grad_x = Tensor::empty(with_last_size(grad_y.shape(), s.in), grad_y.options());
  multiply(s, {.m = s.rows, .n = s.in, .k = s.out, .input = grad_y.dtype(), .output = grad_y.dtype()}, grad_y,
           cast(weight, grad_y.dtype()), grad_x);
  return grad_x;
}

Tensor linear_backward_weight(const Tensor& grad_y, const Tensor& x) {
  const LinearSizes s = linear_backward_weight_sizes(grad_y, x);
  const DType type = parameter_dtype(x.dtype());
  Tensor grad_weight = Tensor::empty({s.out, s.in}, {type, x.device()});
  multiply(s, {.m = s.out, .n = s.in, .k = s.rows, .transpose_a = true, .input = x.dtype(), .output = type},
           grad_y, x, grad_weight);
  return grad_weight;
}

Tensor linear_backward_bias(const Tensor& grad_y) {
  check_linear_backward_bias(grad_y);
  return column_sums("linear", grad_y, grad_y.size(-1));
}

}  // namespace dcl::tensor::cuda
