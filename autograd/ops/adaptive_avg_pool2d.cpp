#include "tensor/ops/adaptive_avg_pool2d.h"

#include "autograd/ops.h"

namespace dcl::autograd {

Variable adaptive_avg_pool2d(const Variable& x, std::int64_t out_h, std::int64_t out_w) {
  check(x.defined(), "adaptive_avg_pool2d: x is undefined");
  return record("adaptive_avg_pool2d",
                DCL_ON_DEVICE(x.value().device(), adaptive_avg_pool2d(x.value(), out_h, out_w)), {x},
                [x_shape = x.shape()](const Tensor& grad_y, const Needs&) {
                  return std::vector<Tensor>{
                      DCL_ON_DEVICE(grad_y.device(), adaptive_avg_pool2d_backward(grad_y, x_shape))};
                });
}

}  // namespace dcl::autograd
