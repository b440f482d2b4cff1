#include <algorithm>

#include "tensor/cpu/gemm.h"
#include "tensor/cpu/threads.h"
#include "tensor/ops/cast.h"
#include "tensor/ops/conv2d.h"
#include "tensor/ops/linear.h"
#include "tensor/ops/reduce.h"

namespace dcl::tensor::cpu {

namespace {

void check_arguments(const Tensor& x, const Tensor& weight, const Tensor& bias) {
  check(x.defined(), "linear: x is undefined");
  check(x.dim() >= 1, "linear: x is [], expected at least one dimension");
  check_dim("linear", "weight", weight, 2);
  check_dtype("linear", "weight", weight, parameter_dtype(x.dtype()));
  check(x.size(-1) == weight.size(1), "linear: weight takes {} features, x has {} (x {}, weight {})",
        weight.size(1), x.size(-1), x.shape().str(), weight.shape().str());
  if (!bias.defined()) return;
  check_dtype("linear", "bias", bias, weight.dtype());
  check_shape("linear", "bias", bias, {weight.size(0)});
}

// `shape` with another last size.
Shape with_last(const Shape& shape, std::int64_t size) {
  std::vector<std::int64_t> sizes = shape.sizes();
  sizes.back() = size;
  return Shape(std::move(sizes));
}

// All sizes but the last, multiplied.
std::int64_t rows_of(const Tensor& x) {
  std::int64_t rows = 1;
  for (int i = 0; i + 1 < x.dim(); ++i) rows *= x.size(i);
  return rows;
}

// In bfloat16 the layer is a 1×1 convolution of rows [M,1,1,I] with weight [O,1,1,I].
Tensor as_pictures(const Tensor& x) { return x.reshape({rows_of(x), 1, 1, x.size(-1)}); }
Tensor as_kernels(const Tensor& weight) { return weight.reshape({weight.size(0), 1, 1, weight.size(1)}); }

// Any of the three products; the operands are its tensors.
void count(std::int64_t rows, std::int64_t in, std::int64_t out,
           std::initializer_list<const Tensor*> operands) {
  if (!profiling()) return;
  count_work({2 * static_cast<double>(rows * in * out), bytes_of(operands)},
             fmt::format("{}x{} -> {}", rows, in, out));
}

}  // namespace

Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias) {
  check_arguments(x, weight, bias);
  if (x.dtype() == DType::bfloat16)
    return conv2d(as_pictures(x), as_kernels(weight), bias, {}).reshape(with_last(x.shape(), weight.size(0)));
  return dispatch_float(x.dtype(), "linear", [&]<class T>() {
    const std::int64_t rows = rows_of(x);
    const std::int64_t in = weight.size(1);
    const std::int64_t out = weight.size(0);
    Tensor y = Tensor::empty(with_last(x.shape(), out), x.options());
    if (bias.defined())
      for (std::int64_t row = 0; row < rows; ++row) std::copy_n(bias.data<T>(), out, y.data<T>() + row * out);
    parallel_gemm(false, true, rows, out, in, T(1), x.data<T>(), in, weight.data<T>(), in,
                  bias.defined() ? T(1) : T(0), y.data<T>(), out);
    count(rows, in, out, {&x, &weight, &y});
    return y;
  });
}

Tensor linear_backward_x(const Tensor& grad_y, const Tensor& weight) {
  check_dim("linear", "weight", weight, 2);
  check_dtype("linear", "weight", weight, parameter_dtype(grad_y.dtype()));
  check(grad_y.dim() >= 1 && grad_y.size(-1) == weight.size(0), "linear: grad_y {} does not fit weight {}",
        grad_y.shape().str(), weight.shape().str());
  if (grad_y.dtype() == DType::bfloat16) {
    const Tensor grad = as_pictures(grad_y);
    return conv2d_backward_input(grad, as_kernels(weight), {grad.size(0), 1, 1, weight.size(1)}, {})
        .reshape(with_last(grad_y.shape(), weight.size(1)));
  }
  return dispatch_float(grad_y.dtype(), "linear", [&]<class T>() {
    const std::int64_t in = weight.size(1);
    const std::int64_t out = weight.size(0);
    Tensor grad_x = Tensor::empty(with_last(grad_y.shape(), in), grad_y.options());
    parallel_gemm(false, false, rows_of(grad_y), in, out, T(1), grad_y.data<T>(), out, weight.data<T>(), in,
                  T(0), grad_x.data<T>(), in);
    count(rows_of(grad_y), in, out, {&grad_y, &weight, &grad_x});
    return grad_x;
  });
}

Tensor linear_backward_weight(const Tensor& grad_y, const Tensor& x) {
  check(x.defined() && x.dim() >= 1, "linear: x is {}, expected at least one dimension", x.str());
  check_dtype("linear", "grad_y", grad_y, x.dtype());
  check(grad_y.dim() == x.dim() && rows_of(grad_y) == rows_of(x), "linear: grad_y {} does not fit x {}",
        grad_y.shape().str(), x.shape().str());
  if (x.dtype() == DType::bfloat16)
    return conv2d_backward_weight(as_pictures(grad_y), as_pictures(x), {grad_y.size(-1), 1, 1, x.size(-1)},
                                  {})
        .reshape({grad_y.size(-1), x.size(-1)});
  return dispatch_float(x.dtype(), "linear", [&]<class T>() {
    const std::int64_t in = x.size(-1);
    const std::int64_t out = grad_y.size(-1);
    Tensor grad_weight = Tensor::empty({out, in}, x.options());
    parallel_gemm(true, false, out, in, rows_of(x), T(1), grad_y.data<T>(), out, x.data<T>(), in, T(0),
                  grad_weight.data<T>(), in);
    count(rows_of(x), in, out, {&grad_y, &x, &grad_weight});
    return grad_weight;
  });
}

Tensor linear_backward_bias(const Tensor& grad_y) {
  check(grad_y.defined() && grad_y.dim() >= 1, "linear: grad_y is {}, expected at least one dimension",
        grad_y.str());
  return sum_to(cast(grad_y, parameter_dtype(grad_y.dtype())), {grad_y.size(-1)});
}

}  // namespace dcl::tensor::cpu
