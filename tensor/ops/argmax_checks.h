// The checks of argmax, for both backends.
#pragma once

#include <vector>

#include "tensor/tensor.h"

namespace dcl::tensor {

/// The index's shape: x's without its last dimension.
inline Shape argmax_shape(const Tensor& x) {
  check(x.defined(), "argmax: x is undefined");
  check(x.dim() >= 1 && x.size(-1) > 0, "argmax: x is {}, expected rows of at least one element",
        x.shape().str());
  std::vector<std::int64_t> sizes = x.shape().sizes();
  sizes.pop_back();
  return Shape(std::move(sizes));
}

}  // namespace dcl::tensor
