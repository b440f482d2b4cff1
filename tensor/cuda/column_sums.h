// Sums over all rows, for the gradients of biases: x […,columns] of float32, float64 or bfloat16 ->
// [columns] of parameter_dtype(x), rounded once.
#pragma once

#include "tensor/tensor.h"

namespace dcl::tensor::cuda {

Tensor column_sums(const char* op, const Tensor& x, std::int64_t columns);

}  // namespace dcl::tensor::cuda
