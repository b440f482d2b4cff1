// inverse_permutation: inverse[permutation[i]] = i, both int64 [N]. Throws unless `permutation` holds each of
// 0 … N-1 once.
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
