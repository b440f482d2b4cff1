#include "tensor/ops/gather_rows.h"

namespace dcl::tensor {

Shape gather_rows_shape(const Shape& x_shape, const Tensor& index) {
  check(x_shape.dim() >= 1, "gather_rows: x is a scalar, expected at least one dimension");
  check_dtype("gather_rows", "index", index, DType::int64);
  check_dim("gather_rows", "index", index, 1);
  std::vector<std::int64_t> sizes = x_shape.sizes();
  sizes[0] = index.numel();
  return Shape(std::move(sizes));
}

}  // namespace dcl::tensor
