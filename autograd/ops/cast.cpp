#include "tensor/ops/cast.h"

#include "autograd/ops.h"

namespace dcl::autograd {

Variable cast(const Variable& x, tensor::DType dtype) {
  check(x.defined(), "cast: x is undefined");
  const auto from = x.value().dtype();
  if (from == dtype) return x;
  return record("cast", DCL_ON_DEVICE(x.value().device(), cast(x.value(), dtype)), {x},
                [from](const Tensor& grad_y, const Needs&) {
                  return std::vector<Tensor>{DCL_ON_DEVICE(grad_y.device(), cast(grad_y, from))};
                });
}

}  // namespace dcl::autograd
