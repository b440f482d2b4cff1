#include <utility>

#include "tensor/ops/reduce_plan.h"

namespace dcl::tensor {

namespace {

// Which dimensions of `shape` are reduced.
std::vector<bool> reduced_mask(const char* op, const Shape& shape, const std::vector<int>& dims) {
  std::vector<bool> mask(static_cast<std::size_t>(shape.dim()), dims.empty());
  for (const int d : dims) {
    const int at = d < 0 ? d + shape.dim() : d;
    check(at >= 0 && at < shape.dim(), "{}: dimension {} of x {} does not exist", op, d, shape.str());
    check(!mask[static_cast<std::size_t>(at)], "{}: dimension {} of x {} is named twice", op, d, shape.str());
    mask[static_cast<std::size_t>(at)] = true;
  }
  return mask;
}

Shape reduced_shape(const Shape& shape, const std::vector<bool>& mask, bool keep_dims) {
  std::vector<std::int64_t> sizes;
  for (std::size_t i = 0; i < mask.size(); ++i) {
    if (!mask[i])
      sizes.push_back(shape.sizes()[i]);
    else if (keep_dims)
      sizes.push_back(1);
  }
  return Shape(std::move(sizes));
}

// The innermost run of dimensions that are reduced and not of size 1; false when there is none. Marks it as
// done: sets its sizes to 1.
bool next_group(std::vector<std::int64_t>& sizes, const std::vector<bool>& mask, ReduceGroup& group) {
  group = {};
  std::size_t i = sizes.size();
  for (; i > 0 && (!mask[i - 1] || sizes[i - 1] == 1); --i) group.inner *= sizes[i - 1];
  if (i == 0) return false;
  for (; i > 0 && mask[i - 1]; --i) group.rows *= std::exchange(sizes[i - 1], 1);
  for (; i > 0; --i) group.outer *= sizes[i - 1];
  return true;
}

Reduction plan(const Shape& x, const std::vector<bool>& mask, Shape out) {
  Reduction reduction;
  reduction.out = std::move(out);
  std::vector<std::int64_t> sizes = x.sizes();
  for (ReduceGroup group; next_group(sizes, mask, group);) reduction.groups.push_back(group);
  return reduction;
}

Reduction plan(const char* op, const Tensor& x, const std::vector<int>& dims, bool keep_dims) {
  check(x.defined(), "{}: x is undefined", op);
  const auto mask = reduced_mask(op, x.shape(), dims);
  return plan(x.shape(), mask, reduced_shape(x.shape(), mask, keep_dims));
}

}  // namespace

Reduction plan_sum(const Tensor& x, const std::vector<int>& dims, bool keep_dims) {
  return plan("sum", x, dims, keep_dims);
}

Reduction plan_mean(const Tensor& x, const std::vector<int>& dims, bool keep_dims) {
  Reduction reduction = plan("mean", x, dims, keep_dims);
  check(x.numel() > 0, "mean: x {} has no elements to average", x.shape().str());
  reduction.divisor = static_cast<double>(x.numel() / reduction.out.numel());
  return reduction;
}

Reduction plan_sum_to(const Tensor& x, const Shape& shape) {
  check(x.defined(), "sum_to: x is undefined");
  check(broadcast_shapes(shape, x.shape(), "sum_to") == x.shape(), "sum_to: {} does not broadcast to x {}",
        shape.str(), x.shape().str());
  std::vector<bool> mask;
  for (int i = x.dim(); i >= 1; --i) mask.push_back(i > shape.dim() || (shape[-i] == 1 && x.size(-i) != 1));
  return plan(x.shape(), mask, shape);
}

Tensor with_reduced_dims(const char* op, const Tensor& grad_y, const Shape& x_shape,
                         const std::vector<int>& dims) {
  check(grad_y.defined(), "{}: grad_y is undefined", op);
  const Shape kept = reduced_shape(x_shape, reduced_mask(op, x_shape, dims), true);
  check(grad_y.numel() == kept.numel(), "{}: grad_y is {}, which is not the reduction of x {}", op,
        grad_y.shape().str(), x_shape.str());
  return grad_y.reshape(kept);
}

double mean_factor(std::int64_t kept, const Shape& x_shape) {
  check(x_shape.numel() > 0, "mean: x {} has no elements to average", x_shape.str());
  return static_cast<double>(kept) / static_cast<double>(x_shape.numel());
}

}  // namespace dcl::tensor
