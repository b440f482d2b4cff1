#include "tensor/ops/softmax.h"

#include "autograd/ops.h"

namespace dcl::autograd {

Variable softmax(const Variable& x) {
  check(x.defined(), "softmax: x is undefined");
  Tensor y = DCL_ON_DEVICE(x.value().device(), softmax(x.value()));
  return record("softmax", y, {x}, [y](const Tensor& grad_y, const Needs&) {
    return std::vector<Tensor>{DCL_ON_DEVICE(y.device(), softmax_backward(grad_y, y))};
  });
}

Variable log_softmax(const Variable& x) {
  check(x.defined(), "log_softmax: x is undefined");
  Tensor y = DCL_ON_DEVICE(x.value().device(), log_softmax(x.value()));
  return record("log_softmax", y, {x}, [y](const Tensor& grad_y, const Needs&) {
    return std::vector<Tensor>{DCL_ON_DEVICE(y.device(), log_softmax_backward(grad_y, y))};
  });
}

}  // namespace dcl::autograd
