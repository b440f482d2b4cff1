// Sums and means over any set of dimensions, of float32 and float64.
//
//   y[kept] = Σ_reduced x[kept, reduced]        mean: divided by the number of summands
//
// `dims` empty means all; negative counts from the end. Reduced dimensions are left out of y's shape, or stay
// with size 1 with `keep_dims`; the sum over all dimensions without it has the shape []. Float32 is summed in
// double and rounded once. The bits do not depend on the number of threads. Throws, naming the op, for a
// dimension that does not exist or is named twice, and for a mean of no elements (the sum of none is 0).
#pragma once

#include <vector>

#include "tensor/tensor.h"

namespace dcl::tensor {

namespace cpu {

Tensor sum(const Tensor& x, const std::vector<int>& dims = {}, bool keep_dims = false);
/// dL/dx: grad_y copied along the reduced dimensions of `x_shape`.
Tensor sum_backward(const Tensor& grad_y, const Shape& x_shape, const std::vector<int>& dims);

Tensor mean(const Tensor& x, const std::vector<int>& dims = {}, bool keep_dims = false);
Tensor mean_backward(const Tensor& grad_y, const Shape& x_shape, const std::vector<int>& dims);

/// Sums x down to `shape`, which must broadcast to x's: what undoes a broadcast in the backward pass.
Tensor sum_to(const Tensor& x, const Shape& shape);

}  // namespace cpu

namespace cuda {

Tensor sum(const Tensor& x, const std::vector<int>& dims = {}, bool keep_dims = false);
Tensor sum_backward(const Tensor& grad_y, const Shape& x_shape, const std::vector<int>& dims);
Tensor mean(const Tensor& x, const std::vector<int>& dims = {}, bool keep_dims = false);
Tensor mean_backward(const Tensor& grad_y, const Shape& x_shape, const std::vector<int>& dims);
Tensor sum_to(const Tensor& x, const Shape& shape);

}  // namespace cuda
}  // namespace dcl::tensor
