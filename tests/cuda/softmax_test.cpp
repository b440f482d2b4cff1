#include "tensor/ops/softmax.h"

#include "tests/cuda/cuda_rows.h"

namespace dcl::test {
namespace {

using tensor::DType;
namespace cpu = tensor::cpu;
namespace cuda = tensor::cuda;

TEST(CudaSoftmax, IsTheCpus) {
  DCL_NEEDS_DEVICE();
  const PoisonedMemory poisoned;
  for (const DType type : {DType::float32, DType::float64})
    for (const Shape& shape : {Shape{3, 5}, Shape{6}, Shape{2, 2, 3}, Shape{4, 1}, Shape{30, 64},
                               Shape{2, 1029}, Shape{4, 2048}, Shape{0, 3}, Shape{3, 0}}) {
      SCOPED_TRACE(shape.str());
      const Tensor x = random_tensor(shape, 1, {-4, 4}).to(type);
      const Tensor grad_y = random_tensor(shape, 2).to(type);
      // Values go through exp and log, whose last bits differ between libraries.
      const Tolerance tolerance = cuda_tolerance(type, 16);
      const Tolerance sums = cuda_tolerance(type, 16 + shape[-1]);
      const Tensor y = cpu::softmax(x), log_y = cpu::log_softmax(x);
      expect_close(to_host(cuda::softmax(on_device(x))), y, tolerance);
      expect_close(to_host(cuda::log_softmax(on_device(x))), log_y, tolerance);
      expect_close(to_host(cuda::softmax_backward(on_device(grad_y), on_device(y))),
                   cpu::softmax_backward(grad_y, y), sums);
      expect_close(to_host(cuda::log_softmax_backward(on_device(grad_y), on_device(log_y))),
                   cpu::log_softmax_backward(grad_y, log_y), sums);
    }
}

TEST(CudaSoftmax, LogitsThatWouldOverflow) {
  DCL_NEEDS_DEVICE();
  const float inf = INFINITY;
  const Tensor x =
      Tensor::from<float>({1000, 1000, -1000, -1000, 0, -inf, -inf, -inf, 0, NAN, inf, 0}, {6, 2});
  expect_close(to_host(cuda::softmax(on_device(x))), cpu::softmax(x), {1e-6, 0});
  expect_close(to_host(cuda::log_softmax(on_device(x))), cpu::log_softmax(x), {1e-6, 0});
}

TEST(CudaSoftmax, Errors) {
  DCL_NEEDS_DEVICE();
  const Tensor wrong = on_device(Tensor::zeros({2}, {DType::int64, {}}));
  const Tensor two = on_device(Tensor::zeros({2})), three = on_device(Tensor::zeros({3}));
  expect_error([&] { cuda::softmax(wrong); }, {"softmax", "float32 or float64", "int64"});
  expect_error([&] { cuda::log_softmax(Tensor()); }, {"log_softmax", "undefined"});
  expect_error([&] { cuda::softmax_backward(two, three); }, {"softmax", "grad_y", "[2]", "[3]"});
  expect_error([&] { cuda::log_softmax_backward(two, three); }, {"log_softmax", "grad_y", "[2]", "[3]"});
}

}  // namespace
}  // namespace dcl::test
