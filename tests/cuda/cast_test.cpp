#include "tensor/ops/cast.h"

#include "tests/cuda/cuda_rows.h"

namespace dcl::test {
namespace {

using tensor::DType;
namespace cpu = tensor::cpu;
namespace cuda = tensor::cuda;

constexpr std::array kTypes{DType::float32, DType::float64, DType::bfloat16};

TEST(CudaCast, IsTheCpus) {
  DCL_NEEDS_DEVICE();
  const PoisonedMemory poisoned;
  for (const DType from : kTypes)
    for (const DType to : kTypes)
      for (const Shape& shape : {Shape{}, Shape{0}, Shape{3}, Shape{8}, Shape{4, 1, 7}, Shape{61, 67}}) {
        SCOPED_TRACE(fmt::format("{} {} to {}", name_of(from), shape.str(), name_of(to)));
        const Tensor x = random_tensor(shape, 1, {-1000, 1000}).to(from);
        expect_same_bits(to_host(cuda::cast(on_device(x), to)), cpu::cast(x, to));
      }
}

// From rows that begin between two packs.
TEST(CudaCast, OffThePacks) {
  DCL_NEEDS_DEVICE();
  for (const DType from : kTypes)
    for (const DType to : kTypes) {
      const Tensor x = random_tensor({4, 51}, 2).to(from);
      expect_same_bits(to_host(cuda::cast(on_device(x).rows(1, 4), to)), cpu::cast(x.rows(1, 4), to));
    }
}

// Halves between two numbers of bfloat16 go to the even one; what is too large becomes infinite.
TEST(CudaCast, RoundsToNearestEven) {
  DCL_NEEDS_DEVICE();
  const double inf = std::numeric_limits<double>::infinity();
  const std::vector<double> values{1 + 1.0 / 256, 1 + 3.0 / 256, 1 + 1.0 / 256 + 1e-6, 3.4e38, -inf, 1e-45,
                                   -0.0,          1e300};
  for (const DType from : {DType::float32, DType::float64}) {
    const Tensor x = Tensor::from(values, {8}).to(from);
    expect_same_bits(to_host(cuda::cast(on_device(x), DType::bfloat16)), cpu::cast(x, DType::bfloat16));
  }
}

TEST(CudaCast, Errors) {
  DCL_NEEDS_DEVICE();
  expect_error([] { cuda::cast(Tensor(), DType::float32); }, {"cast", "x is undefined"});
  expect_error([] { cuda::cast(on_device(Tensor::zeros({2})), DType::int64); },
               {"cast", "float32", "int64", "floating"});
}

}  // namespace
}  // namespace dcl::test
