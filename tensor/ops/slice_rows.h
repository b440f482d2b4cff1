// Rows [begin, end) of the first dimension: y[i] = x[begin + i]. Forward is Tensor::rows, which shares x's
// memory and so is the same on every device; throws where the range leaves x.
#pragma once

#include "tensor/tensor.h"

namespace dcl::tensor {

namespace cpu {
/// dL/dx: dL/dy at rows begin …, zeros elsewhere.
Tensor slice_rows_backward(const Tensor& grad_y, const Shape& x_shape, std::int64_t begin);
}  // namespace cpu

namespace cuda {
Tensor slice_rows_backward(const Tensor& grad_y, const Shape& x_shape, std::int64_t begin);
}  // namespace cuda

}  // namespace dcl::tensor
