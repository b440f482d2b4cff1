#include "tensor/ops/gather_rows.h"

#include "autograd/ops.h"

namespace dcl::autograd {

Variable gather_rows(const Variable& x, const Tensor& index) {
  check(x.defined(), "gather_rows: x is undefined");
  return record("gather_rows", DCL_ON_DEVICE(x.value().device(), gather_rows(x.value(), index)), {x},
                [index, x_shape = x.shape()](const Tensor& grad_y, const Needs&) {
                  return std::vector<Tensor>{
                      DCL_ON_DEVICE(grad_y.device(), gather_rows_backward(grad_y, index, x_shape))};
                });
}

}  // namespace dcl::autograd
