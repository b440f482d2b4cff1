#include "tensor/ops/slice_rows.h"

#include "autograd/ops.h"

namespace dcl::autograd {

Variable slice_rows(const Variable& x, std::int64_t begin, std::int64_t end) {
  check(x.defined(), "slice_rows: x is undefined");
  check(x.value().dim() >= 1 && 0 <= begin && begin <= end && end <= x.value().size(0),
        "slice_rows: x {} has no rows [{}, {})", x.shape().str(), begin, end);
  return record("slice_rows", x.value().rows(begin, end), {x},
                [x_shape = x.shape(), begin](const Tensor& grad_y, const Needs&) {
                  return std::vector<Tensor>{
                      DCL_ON_DEVICE(grad_y.device(), slice_rows_backward(grad_y, x_shape, begin))};
                });
}

}  // namespace dcl::autograd
