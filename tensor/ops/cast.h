// The same numbers in another type: y[i] = x[i], rounded to nearest even where y has fewer bits. Any two of
// float32, float64 and bfloat16; x itself when it has that type. Throws for other types. The gradient is cast
// back.
#pragma once

#include "tensor/tensor.h"

namespace dcl::tensor {

/// Throws unless x is defined and both types are floating.
void check_cast(const Tensor& x, DType dtype);

namespace cpu {
Tensor cast(const Tensor& x, DType dtype);
}  // namespace cpu

namespace cuda {
Tensor cast(const Tensor& x, DType dtype);
}  // namespace cuda

}  // namespace dcl::tensor
