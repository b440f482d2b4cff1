#include "tensor/ops/upsample_bilinear2d.h"

#include "autograd/ops.h"

namespace dcl::autograd {

Variable upsample_bilinear2d(const Variable& x, const tensor::UpsampleParams& params) {
  check(x.defined(), "upsample_bilinear2d: x is undefined");
  return record("upsample_bilinear2d",
                DCL_ON_DEVICE(x.value().device(), upsample_bilinear2d(x.value(), params)), {x},
                [x_shape = x.shape(), params](const Tensor& grad_y, const Needs&) {
                  return std::vector<Tensor>{
                      DCL_ON_DEVICE(grad_y.device(), upsample_bilinear2d_backward(grad_y, x_shape, params))};
                });
}

}  // namespace dcl::autograd
