#include "tensor/ops/slice_rows.h"

namespace dcl::tensor::cpu {

Tensor slice_rows_backward(const Tensor& grad_y, const Shape& x_shape, std::int64_t begin) {
  check(grad_y.defined() && grad_y.dim() >= 1, "slice_rows: grad_y is {}, expected at least one dimension",
        grad_y.str());
  Tensor grad_x = Tensor::zeros(x_shape, grad_y.options());
  grad_x.rows(begin, begin + grad_y.size(0)).copy_from(grad_y);
  return grad_x;
}

}  // namespace dcl::tensor::cpu
