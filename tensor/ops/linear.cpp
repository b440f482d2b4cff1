#include "tensor/ops/linear.h"

namespace dcl::tensor {

namespace {

std::int64_t rows_of(const Tensor& x) {
  std::int64_t rows = 1;
  for (int i = 0; i + 1 < x.dim(); ++i) rows *= x.size(i);
  return rows;
}

void check_type(const Tensor& x) {
  check(is_floating(x.dtype()), "linear: expected float32, float64 or bfloat16, got {}", name_of(x.dtype()));
}

}  // namespace

LinearSizes linear_sizes(const Tensor& x, const Tensor& weight, const Tensor& bias) {
  check(x.defined(), "linear: x is undefined");
  check(x.dim() >= 1, "linear: x is [], expected at least one dimension");
  check_type(x);
  check_dim("linear", "weight", weight, 2);
  check_dtype("linear", "weight", weight, parameter_dtype(x.dtype()));
  check_same_device("linear", "weight", weight, x);
  check_same_device("linear", "bias", bias, x);
  check(x.size(-1) == weight.size(1), "linear: weight takes {} features, x has {} (x {}, weight {})",
        weight.size(1), x.size(-1), x.shape().str(), weight.shape().str());
  if (bias.defined()) {
    check_dtype("linear", "bias", bias, weight.dtype());
    check_shape("linear", "bias", bias, {weight.size(0)});
  }
  return {rows_of(x), weight.size(1), weight.size(0)};
}

LinearSizes linear_backward_x_sizes(const Tensor& grad_y, const Tensor& weight) {
  check_dim("linear", "weight", weight, 2);
  check_type(grad_y);
  check_dtype("linear", "weight", weight, parameter_dtype(grad_y.dtype()));
  check(grad_y.dim() >= 1 && grad_y.size(-1) == weight.size(0), "linear: grad_y {} does not fit weight {}",
        grad_y.shape().str(), weight.shape().str());
  return {rows_of(grad_y), weight.size(1), weight.size(0)};
}

LinearSizes linear_backward_weight_sizes(const Tensor& grad_y, const Tensor& x) {
  check(x.defined() && x.dim() >= 1, "linear: x is {}, expected at least one dimension", x.str());
  check_type(x);
  check_dtype("linear", "grad_y", grad_y, x.dtype());
  check_same_device("linear", "grad_y", grad_y, x);
  check(grad_y.dim() == x.dim() && rows_of(grad_y) == rows_of(x), "linear: grad_y {} does not fit x {}",
        grad_y.shape().str(), x.shape().str());
  return {rows_of(x), x.size(-1), grad_y.size(-1)};
}

void check_linear_backward_bias(const Tensor& grad_y) {
  check(grad_y.defined() && grad_y.dim() >= 1, "linear: grad_y is {}, expected at least one dimension",
        grad_y.str());
}

Shape with_last_size(const Shape& shape, std::int64_t size) {
  std::vector<std::int64_t> sizes = shape.sizes();
  sizes.back() = size;
  return Shape(std::move(sizes));
}

}  // namespace dcl::tensor
