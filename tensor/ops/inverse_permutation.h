// inverse_permutation: inverse[permutation[i]] = i, both int64 [N]. Throws unless `permutation` holds each of
// 0 … N-1 once; on a GPU, where nobody waits for the numbers, elements out of range are passed over, and -1
// stands for what no element names.
#pragma once

#include "tensor/tensor.h"

namespace dcl::tensor {

namespace cpu {
Tensor inverse_permutation(const Tensor& permutation);
}
namespace cuda {
Tensor inverse_permutation(const Tensor& permutation);
}

}  // namespace dcl::tensor
