#include "autograd/ops.h"

namespace dcl::autograd {

// The same numbers under another shape: Tensor::reshape, which shares them and throws where they do not fit.
Variable reshape(const Variable& x, std::vector<std::int64_t> sizes) {
  check(x.defined(), "reshape: x is undefined");
  return record("reshape", x.value().reshape(std::move(sizes)), {x},
                [x_shape = x.shape()](const Tensor& grad_y, const Needs&) {
                  return std::vector<Tensor>{grad_y.reshape(x_shape)};
                });
}

}  // namespace dcl::autograd
