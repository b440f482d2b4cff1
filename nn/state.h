// The file boundary: in memory convolution weights are [O,kH,kW,I], in files they are PyTorch's [O,I,kH,kW].
#pragma once

#include "nn/module.h"

namespace dcl::nn {

/// [O,kH,kW,I] -> [O,I,kH,kW]: a new tensor. Any other number of dimensions is returned as it is.
Tensor to_pytorch_layout(const Tensor& tensor);
/// [O,I,kH,kW] -> [O,kH,kW,I]; the inverse.
Tensor from_pytorch_layout(const Tensor& tensor);
/// [R,C] -> [C,R]: a new tensor.
Tensor transposed(const Tensor& matrix);

}  // namespace dcl::nn
