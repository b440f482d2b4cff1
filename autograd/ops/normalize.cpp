#include "tensor/ops/normalize.h"

#include "autograd/ops.h"

namespace dcl::autograd {

Variable normalize(const Variable& x, double eps) {
  check(x.defined(), "normalize: x is undefined");
  return record("normalize", DCL_ON_DEVICE(x.value().device(), normalize(x.value(), eps)), {x},
                [x = x.value(), eps](const Tensor& grad_y, const Needs&) {
                  return std::vector<Tensor>{DCL_ON_DEVICE(x.device(), normalize_backward(grad_y, x, eps))};
                });
}

}  // namespace dcl::autograd
