// Rows picked by number: y[i] = x[index[i]].
//
//   x [R,…] of any type, index int64 [M] with values in [0, R), y [M,…]
//
// Throws, naming the position, for an index out of range; on a GPU, where nobody waits for the numbers, such
// a row of y is full of bits 1 (NaN), and adds nothing to a gradient.
#pragma once

#include "tensor/tensor.h"

namespace dcl::tensor {

/// y's shape. Throws where x has no rows or index is not int64 [M]; the numbers are not looked at.
Shape gather_rows_shape(const Shape& x_shape, const Tensor& index);

namespace cpu {
Tensor gather_rows(const Tensor& x, const Tensor& index);
/// dL/dx: row r is the sum of dL/dy's rows i with index[i] = r, added in the order of i whatever the number
/// of threads. float32 or float64.
Tensor gather_rows_backward(const Tensor& grad_y, const Tensor& index, const Shape& x_shape);
}  // namespace cpu

namespace cuda {
Tensor gather_rows(const Tensor& x, const Tensor& index);
Tensor gather_rows_backward(const Tensor& grad_y, const Tensor& index, const Shape& x_shape);
}  // namespace cuda

}  // namespace dcl::tensor
