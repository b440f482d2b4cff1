#include "tensor/ops/inverse_permutation.h"

namespace dcl::tensor::cpu {

Tensor inverse_permutation(const Tensor& permutation) {
  check_dim("inverse_permutation", "permutation", permutation, 1);
  check_dtype("inverse_permutation", "permutation", permutation, DType::int64);
  const std::int64_t n = permutation.numel();
  Tensor inverse = Tensor::full({n}, -1, permutation.options());
  const auto* from = permutation.data<std::int64_t>();
  auto* to = inverse.data<std::int64_t>();
  for (std::int64_t i = 0; i < n; ++i) {
    check(from[i] >= 0 && from[i] < n && to[from[i]] == -1,
          "inverse_permutation: element {} is {}, expected each of 0 to {} once", i, from[i], n - 1);
    to[from[i]] = i;
  }
  return inverse;
}

}  // namespace dcl::tensor::cpu
