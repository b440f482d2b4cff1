#include "tensor/ops/cast.h"

namespace dcl::tensor {

void check_cast(const Tensor& x, DType dtype) {
  check(x.defined(), "cast: x is undefined");
  check(is_floating(x.dtype()) && is_floating(dtype), "cast: from {} to {}, expected floating types",
        name_of(x.dtype()), name_of(dtype));
}

}  // namespace dcl::tensor
