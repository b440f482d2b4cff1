#include "tensor/ops/normalize.h"

#include "tests/cuda/cuda_rows.h"

namespace dcl::test {
namespace {

using tensor::DType;
namespace cpu = tensor::cpu;
namespace cuda = tensor::cuda;

struct Row {
  Shape x;
  Range range;
  double eps;
};

const std::vector<Row>& rows() {
  static const std::vector<Row> all{
      {{3, 5}, {-1, 1}, 1e-12},         {{7}, {-1, 1}, 1e-12},     {{2, 1, 2, 4}, {-3, 3}, 1e-12},
      {{4, 1}, {0.5, 2}, 1e-12},        {{50, 128}, {-1, 1}, 0.1}, {{3, 1027}, {-1, 1}, 1e-12},
      {{5, 2048}, {-1, 1}, 1e-12},      {{2, 33}, {-1, 1}, 1e-12}, {{3, 4}, {-0.01, 0.01}, 0.5},
      {{60, 2}, {-1, 1}, 0.8 /*some*/}, {{0, 3}, {-1, 1}, 1e-12},  {{3, 0}, {-1, 1}, 1e-12}};
  return all;
}

TEST(CudaNormalize, IsTheCpus) {
  DCL_NEEDS_DEVICE();
  const PoisonedMemory poisoned;
  for (const DType type : {DType::float32, DType::float64})
    for (const Row& row : rows()) {
      SCOPED_TRACE(row.x.str());
      const Tensor x = random_tensor(row.x, 1, row.range).to(type);
      const Tensor grad_y = random_tensor(row.x, 2).to(type);
      const Tolerance tolerance = cuda_tolerance(type, row.x[-1]);
      expect_close(to_host(cuda::normalize(on_device(x), row.eps)), cpu::normalize(x, row.eps), tolerance);
      expect_close(to_host(cuda::normalize_backward(on_device(grad_y), on_device(x), row.eps)),
                   cpu::normalize_backward(grad_y, x, row.eps), tolerance);
    }
}

TEST(CudaNormalize, RowsOfZerosAndOfLargeNumbersAndOfNan) {
  DCL_NEEDS_DEVICE();
  const Tensor zeros = on_device(Tensor::zeros({2, 3}));
  expect_same_bits(to_host(cuda::normalize(zeros)), Tensor::zeros({2, 3}));
  expect_close(to_host(cuda::normalize_backward(on_device(Tensor::full({2, 3}, 2)), zeros, 1e-12)),
               Tensor::full({2, 3}, 2e12), {1e-6, 0});
  const Tensor huge = Tensor::full({1, 4}, 1e30);  // its squares overflow a float
  expect_close(to_host(cuda::normalize(on_device(huge))), Tensor::full({1, 4}, 0.5), {1e-6, 0});
  const Tensor broken = Tensor::from<float>({1, NAN, 3, 4}, {2, 2});
  expect_close(to_host(cuda::normalize(on_device(broken))), cpu::normalize(broken), {1e-6, 0});
}

TEST(CudaNormalize, Errors) {
  DCL_NEEDS_DEVICE();
  const Tensor x = on_device(Tensor::zeros({2, 3}));
  expect_error([&] { cuda::normalize(x, 0); }, {"normalize", "eps is 0"});
  expect_error([&] { cuda::normalize(Tensor()); }, {"normalize", "undefined"});
  expect_error([&] { cuda::normalize_backward(on_device(Tensor::zeros({3})), x, 1e-12); },
               {"normalize", "grad_y", "[3]", "[2,3]"});
}

}  // namespace
}  // namespace dcl::test
