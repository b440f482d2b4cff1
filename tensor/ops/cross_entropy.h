// The classification loss, averaged over the rows:
//
//   loss = 1/M Σ_i ( log Σ_c exp(logits[i,c]) − logits[i, targets[i]] )
//
// logits [M,C] float32 or float64, targets int64 [M] with values in [0, C), loss [1]. Computed from the
// largest logit of each row down, so large logits do not overflow. Throws, naming the row, for a target out
// of range, and when there are no rows; on a GPU, where nobody waits for the numbers, such a target makes the
// loss and its row of the gradient NaN.
#pragma once

#include "tensor/tensor.h"

namespace dcl::tensor {

namespace cpu {
Tensor cross_entropy(const Tensor& logits, const Tensor& targets);
/// dL/dlogits; `grad_loss` is [1].
Tensor cross_entropy_backward(const Tensor& grad_loss, const Tensor& logits, const Tensor& targets);
}  // namespace cpu

namespace cuda {
Tensor cross_entropy(const Tensor& logits, const Tensor& targets);
Tensor cross_entropy_backward(const Tensor& grad_loss, const Tensor& logits, const Tensor& targets);
}  // namespace cuda

}  // namespace dcl::tensor
