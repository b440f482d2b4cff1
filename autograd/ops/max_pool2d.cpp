#include "tensor/ops/max_pool2d.h"

#include "autograd/ops.h"

namespace dcl::autograd {

Variable max_pool2d(const Variable& x, const tensor::MaxPool2dParams& params) {
  check(x.defined(), "max_pool2d: x is undefined");
  const auto out = DCL_ON_DEVICE(x.value().device(), max_pool2d(x.value(), params));
  return record("max_pool2d", out.y, {x},
                [tap = out.tap, x_shape = x.shape(), params](const Tensor& grad_y, const Needs&) {
                  return std::vector<Tensor>{
                      DCL_ON_DEVICE(grad_y.device(), max_pool2d_backward(grad_y, tap, x_shape, params))};
                });
}

}  // namespace dcl::autograd
