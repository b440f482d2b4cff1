#include "tensor/ops/argmax.h"

#include "tests/cuda/cuda_rows.h"

namespace dcl::test {
namespace {

using tensor::DType;
namespace cpu = tensor::cpu;
namespace cuda = tensor::cuda;

void expect_the_cpus(const Tensor& x) {
  SCOPED_TRACE(x.str());
  expect_same_bits(to_host(cuda::argmax(on_device(x))), cpu::argmax(x));
}

TEST(CudaArgmax, IsTheCpus) {
  DCL_NEEDS_DEVICE();
  const PoisonedMemory poisoned;
  for (const DType type : {DType::float32, DType::float64})
    for (const Shape& shape : {Shape{3, 5}, Shape{6}, Shape{2, 2, 3}, Shape{4, 1}, Shape{30, 64},
                               Shape{9, 77}, Shape{5, 1029}, Shape{4, 2048}, Shape{0, 3}}) {
      expect_the_cpus(random_tensor(shape, 1).to(type));
      expect_the_cpus(random_index(shape, 3, 2).to(type));  // many maxima
      expect_the_cpus(Tensor::full(shape, -INFINITY, {type, {}}));
      expect_the_cpus(Tensor::full(shape, NAN, {type, {}}));
    }
}

TEST(CudaArgmax, NanIsTheLargest) {
  DCL_NEEDS_DEVICE();
  const float inf = INFINITY, nan = NAN;
  expect_the_cpus(Tensor::from<float>({-inf, 0, inf, 1, inf, nan, inf, nan, nan}, {3, 3}));
  for (const std::int64_t columns : {100, 3000}) {
    Tensor x = random_tensor({2, columns}, 3).to(DType::float32);
    for (const std::int64_t at : {columns - 1, columns / 2, columns / 3}) {
      x.data<float>()[columns + at] = nan;
      expect_the_cpus(x);
    }
  }
}

TEST(CudaArgmax, Errors) {
  DCL_NEEDS_DEVICE();
  expect_error([] { cuda::argmax(on_device(Tensor::zeros({2, 0}))); }, {"argmax", "[2,0]"});
  expect_error([] { cuda::argmax(Tensor()); }, {"argmax", "undefined"});
  expect_error([] { cuda::argmax(on_device(Tensor::zeros({2}, {DType::uint8, {}}))); },
               {"argmax", "float32 or float64", "uint8"});
}

}  // namespace
}  // namespace dcl::test
