#include "tensor/cuda/kernel.h"
#include "tensor/ops/inverse_permutation.h"

namespace dcl::tensor::cuda {
namespace {

constexpr int kThreads = 512;

// One block, because all of `inverse` has to be -1 before the first number is put there, and a batch is
// small. Of two elements that name the same place the later one wins, so that the bits are always the same.
__global__ void invert(std::int64_t n, const std::int64_t* permutation, std::int64_t* inverse) {
  for (const std::int64_t i : grid_stride(n)) inverse[i] = -1;
  __syncthreads();
  for (const std::int64_t i : grid_stride(n)) {
    const std::int64_t to = permutation[i];
    if (0 <= to && to < n)
      atomicMax(reinterpret_cast<long long*>(inverse + to), static_cast<long long>(i));  // NOLINT: its type
  }
}

}  // namespace

Tensor inverse_permutation(const Tensor& permutation) {
  check_dim("inverse_permutation", "permutation", permutation, 1);
  check_dtype("inverse_permutation", "permutation", permutation, DType::int64);
  Tensor inverse = empty_like(permutation);
  const std::int64_t n = permutation.numel();
  if (n > 0)
    launch("inverse_permutation", invert, {.grid = dim3(1), .block = dim3(kThreads)}, n,
           permutation.data<std::int64_t>(), inverse.data<std::int64_t>());
  return inverse;
}

}  // namespace dcl::tensor::cuda
