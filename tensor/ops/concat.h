// Tensors joined along the first dimension: y = [parts[0]; parts[1]; …], of any type.
//
// Throws, naming the part, unless there is at least one and all agree in type and in every size but the
// first.
#pragma once

#include <vector>

#include "tensor/tensor.h"

namespace dcl::tensor {

namespace cpu {
Tensor concat(const std::vector<Tensor>& parts);
/// dL/dparts[i] is a run of rows of dL/dy; the results share its memory. `rows[i]` is the first size of part
/// i.
std::vector<Tensor> concat_backward(const Tensor& grad_y, const std::vector<std::int64_t>& rows);
}  // namespace cpu

namespace cuda {
Tensor concat(const std::vector<Tensor>& parts);
std::vector<Tensor> concat_backward(const Tensor& grad_y, const std::vector<std::int64_t>& rows);
}  // namespace cuda

}  // namespace dcl::tensor
