#include "tensor/ops/cross_entropy.h"

#include "tests/cuda/cuda_rows.h"

namespace dcl::test {
namespace {

using tensor::DType;
namespace cpu = tensor::cpu;
namespace cuda = tensor::cuda;

Tensor targets_of(const std::vector<std::int64_t>& values) {
  return Tensor::from(values, {static_cast<std::int64_t>(values.size())});
}

void expect_the_cpus(const Tensor& logits, const Tensor& targets, const Tolerance& tolerance) {
  const Tensor on = on_device(logits), targets_on = on_device(targets);
  expect_close(to_host(cuda::cross_entropy(on, targets_on)), cpu::cross_entropy(logits, targets), tolerance);
  const Tensor grad_loss = Tensor::scalar(1.5, logits.options());
  expect_close(to_host(cuda::cross_entropy_backward(on_device(grad_loss), on, targets_on)),
               cpu::cross_entropy_backward(grad_loss, logits, targets), tolerance);
}

TEST(CudaCrossEntropy, IsTheCpus) {
  DCL_NEEDS_DEVICE();
  const PoisonedMemory poisoned;
  for (const DType type : {DType::float32, DType::float64})
    for (const Shape& shape : {Shape{4, 5}, Shape{1, 3}, Shape{3, 1}, Shape{7, 2}, Shape{300, 20},
                               Shape{40, 1000}, Shape{3, 1031}, Shape{4, 4096}}) {
      SCOPED_TRACE(shape.str());
      expect_the_cpus(random_tensor(shape, 1, {-4, 4}).to(type), random_index({shape[0]}, shape[1], 2),
                      cuda_tolerance(type, 16));
    }
}

TEST(CudaCrossEntropy, LogitsThatWouldOverflowAndNan) {
  DCL_NEEDS_DEVICE();
  expect_the_cpus(Tensor::from<float>({1000, 0, -1000, -1000}, {2, 2}), targets_of({1, 0}), {1e-6, 1e-9});
  expect_the_cpus(Tensor::from<float>({0, NAN, 1, 2}, {2, 2}), targets_of({0, 0}), {1e-6, 1e-9});
  const float inf = INFINITY;
  expect_the_cpus(Tensor::from<float>({0, -inf, 1, 2}, {2, 2}), targets_of({0, 0}), {1e-6, 1e-9});
}

TEST(CudaCrossEntropy, TargetsOutOfRangeAreNan) {
  DCL_NEEDS_DEVICE();
  const Tensor logits = on_device(random_tensor({3, 2}, 1).to(DType::float32));
  const Tensor targets = on_device(targets_of({1, 2, -1}));
  EXPECT_TRUE(std::isnan(to_host(cuda::cross_entropy(logits, targets)).item()));
  const auto grad = to_host(cuda::cross_entropy_backward(on_device(Tensor::scalar(1)), logits, targets))
                        .to_vector<double>();
  for (std::size_t i = 0; i < 6; ++i) EXPECT_EQ(std::isnan(grad[i]), i >= 2) << i;
  const Tensor no_classes = on_device(Tensor::zeros({3, 0}));
  EXPECT_TRUE(std::isnan(to_host(cuda::cross_entropy(no_classes, targets)).item()));
}

TEST(CudaCrossEntropy, Errors) {
  DCL_NEEDS_DEVICE();
  const Tensor logits = on_device(Tensor::zeros({2, 3}));
  expect_error([&] { cuda::cross_entropy(logits, on_device(targets_of({0}))); },
               {"cross_entropy", "targets is [1]", "[2,3]"});
  expect_error([&] { cuda::cross_entropy(on_device(Tensor::zeros({0, 3})), on_device(targets_of({}))); },
               {"cross_entropy", "no rows"});
  expect_error([&] { cuda::cross_entropy_backward(logits, logits, on_device(targets_of({0, 1}))); },
               {"cross_entropy", "grad_loss", "[2,3]", "[1]"});
}

}  // namespace
}  // namespace dcl::test
