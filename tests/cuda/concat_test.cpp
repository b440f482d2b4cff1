#include "tensor/ops/concat.h"

#include "tests/cuda/cuda_rows.h"

namespace dcl::test {
namespace {

using tensor::DType;
namespace cpu = tensor::cpu;
namespace cuda = tensor::cuda;

TEST(CudaConcat, IsTheCpus) {
  DCL_NEEDS_DEVICE();
  const PoisonedMemory poisoned;
  for (const DType type : {DType::float32, DType::float64, DType::bfloat16, DType::int64, DType::uint8})
    for (const Shape& row : {Shape{}, Shape{3}, Shape{2, 0}, Shape{7, 1, 5}}) {
      const std::vector<std::int64_t> counts{2, 0, 1, 30};
      std::vector<Tensor> parts, there;
      for (const std::int64_t count : counts) {
        std::vector<std::int64_t> sizes = row.sizes();
        sizes.insert(sizes.begin(), count);
        parts.push_back(random_tensor(Shape(sizes), parts.size(), {0, 200}).to(type));
        there.push_back(on_device(parts.back()));
      }
      const Tensor y = cpu::concat(parts), y_there = cuda::concat(there);
      expect_same_bits(to_host(y_there), y);
      const auto grads = cuda::concat_backward(y_there, counts);
      ASSERT_EQ(grads.size(), counts.size());
      for (std::size_t i = 0; i < counts.size(); ++i) {
        EXPECT_TRUE(grads[i].shares_with(y_there));
        expect_same_bits(to_host(grads[i]), parts[i]);
      }
    }
}

TEST(CudaConcat, Errors) {
  DCL_NEEDS_DEVICE();
  const Tensor a = on_device(Tensor::zeros({2, 3}));
  expect_error([] { cuda::concat({}); }, {"concat", "no parts"});
  expect_error([&] { cuda::concat({a, on_device(Tensor::zeros({2, 4}))}); },
               {"concat", "part 1", "[2,4]", "[2,3]"});
  expect_error([] { cuda::concat_backward(Tensor(), {1}); }, {"concat", "grad_y is undefined"});
}

}  // namespace
}  // namespace dcl::test
