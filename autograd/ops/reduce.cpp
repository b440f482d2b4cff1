#include "tensor/ops/reduce.h"

#include "autograd/ops.h"

namespace dcl::autograd {

Variable sum(const Variable& x, const std::vector<int>& dims, bool keep_dims) {
  check(x.defined(), "sum: x is undefined");
  return record(
      "sum", DCL_ON_DEVICE(x.value().device(), sum(x.value(), dims, keep_dims)), {x},
      [x_shape = x.shape(), dims](const Tensor& grad_y, const Needs&) {
        return std::vector<Tensor>{DCL_ON_DEVICE(grad_y.device(), sum_backward(grad_y, x_shape, dims))};
      });
}

Variable mean(const Variable& x, const std::vector<int>& dims, bool keep_dims) {
  check(x.defined(), "mean: x is undefined");
  return record(
      "mean", DCL_ON_DEVICE(x.value().device(), mean(x.value(), dims, keep_dims)), {x},
      [x_shape = x.shape(), dims](const Tensor& grad_y, const Needs&) {
        return std::vector<Tensor>{DCL_ON_DEVICE(grad_y.device(), mean_backward(grad_y, x_shape, dims))};
      });
}

}  // namespace dcl::autograd
