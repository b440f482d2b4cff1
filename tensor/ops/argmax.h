// Where the largest value of each row is:
//
//   index[…] = argmax_c x[…,c]         x […,C] float32 or float64, index int64 […]
//
// The first maximum wins. NaN counts as larger than every number, as in PyTorch, so the first NaN of a row is
// its maximum. Throws when x has no dimension or rows of size 0. No gradient flows.
#pragma once

#include "tensor/tensor.h"

namespace dcl::tensor {

namespace cpu {
Tensor argmax(const Tensor& x);
}
namespace cuda {
Tensor argmax(const Tensor& x);
}

}  // namespace dcl::tensor
