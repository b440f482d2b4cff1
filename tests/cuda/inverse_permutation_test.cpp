#include "tensor/ops/inverse_permutation.h"

#include <algorithm>
#include <numeric>
#include <random>

#include "tests/cuda/cuda_rows.h"

namespace dcl::test {
namespace {

using tensor::DType;
namespace cpu = tensor::cpu;
namespace cuda = tensor::cuda;

using Numbers = std::vector<std::int64_t>;

Tensor order(const Numbers& numbers) {
  return Tensor::from(numbers, {static_cast<std::int64_t>(numbers.size())});
}

TEST(CudaInversePermutation, IsTheCpus) {
  DCL_NEEDS_DEVICE();
  const PoisonedMemory poisoned;
  std::mt19937 generator(1);
  for (const std::size_t n : {0, 1, 2, 33, 512, 1500}) {
    Numbers numbers(n);
    std::iota(numbers.begin(), numbers.end(), 0);
    std::shuffle(numbers.begin(), numbers.end(), generator);
    const Tensor permutation = order(numbers);
    expect_same_bits(to_host(cuda::inverse_permutation(on_device(permutation))),
                     cpu::inverse_permutation(permutation));
  }
}

TEST(CudaInversePermutation, PlacesThatNobodyNamesAreMinusOne) {
  DCL_NEEDS_DEVICE();
  const auto inverse = [](const Numbers& numbers) {
    return to_host(cuda::inverse_permutation(on_device(order(numbers)))).to_vector<std::int64_t>();
  };
  EXPECT_EQ(inverse({0, 0, 2}), (Numbers{1, -1, 2}));
  EXPECT_EQ(inverse({0, 3, -1}), (Numbers{0, -1, -1}));
}

TEST(CudaInversePermutation, Errors) {
  DCL_NEEDS_DEVICE();
  expect_error([] { cuda::inverse_permutation(on_device(Tensor::zeros({3}))); },
               {"inverse_permutation", "int64"});
  expect_error([] { cuda::inverse_permutation(on_device(Tensor::zeros({3, 1}, {DType::int64, {}}))); },
               {"inverse_permutation", "[3,1]", "1 dimensions"});
}

}  // namespace
}  // namespace dcl::test
