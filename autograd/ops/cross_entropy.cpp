#include "tensor/ops/cross_entropy.h"

#include "autograd/ops.h"

namespace dcl::autograd {

Variable cross_entropy(const Variable& logits, const Tensor& targets) {
  check(logits.defined(), "cross_entropy: logits is undefined");
  return record("cross_entropy",
                DCL_ON_DEVICE(logits.value().device(), cross_entropy(logits.value(), targets)), {logits},
                [logits = logits.value(), targets](const Tensor& grad_loss, const Needs&) {
                  return std::vector<Tensor>{
                      DCL_ON_DEVICE(logits.device(), cross_entropy_backward(grad_loss, logits, targets))};
                });
}

}  // namespace dcl::autograd
