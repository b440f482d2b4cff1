// The checks of cross_entropy that do not look at numbers, for both backends.
#pragma once

#include "tensor/tensor.h"

namespace dcl::tensor {

inline void check_cross_entropy(const Tensor& logits, const Tensor& targets) {
  check_dim("cross_entropy", "logits", logits, 2);
  check_dtype("cross_entropy", "targets", targets, DType::int64);
  check_same_device("cross_entropy", "targets", targets, logits);
  check(targets.shape() == Shape{logits.size(0)}, "cross_entropy: targets is {}, expected [{}] (logits {})",
        targets.shape().str(), logits.size(0), logits.shape().str());
  check(logits.size(0) > 0, "cross_entropy: logits {} has no rows to average over", logits.shape().str());
}

}  // namespace dcl::tensor
