#include "tensor/ops/matmul.h"

#include "tests/cuda/cuda_rows.h"

namespace dcl::test {
namespace {

using tensor::DType;
using tensor::MatmulParams;
namespace cpu = tensor::cpu;
namespace cuda = tensor::cuda;

struct Row {
  std::int64_t batch;  // 0: plain matrices
  std::int64_t m, k, n;
};

const std::vector<Row>& rows() {
  static const std::vector<Row> table{{0, 3, 4, 5},    {0, 1, 7, 1},    {0, 5, 1, 3},   {0, 1, 1, 1},
                                      {1, 2, 3, 4},    {2, 3, 5, 2},    {5, 2, 3, 1},   {0, 70, 33, 65},
                                      {9, 33, 17, 12}, {0, 2, 0, 3},    {0, 0, 2, 3},   {0, 2, 3, 0},
                                      {2, 3, 0, 4},    {3, 64, 128, 8}, {0, 8, 512, 16}};
  return table;
}

Shape shape(const Row& row, bool transposed, std::int64_t height, std::int64_t width) {
  if (transposed) std::swap(height, width);
  return row.batch == 0 ? Shape{height, width} : Shape{row.batch, height, width};
}

TEST(CudaMatmul, IsTheCpus) {
  DCL_NEEDS_DEVICE();
  const PoisonedMemory poisoned;
  for (const DType type : {DType::float32, DType::float64})
    for (const Row& row : rows())
      for (const bool transpose_a : {false, true})
        for (const bool transpose_b : {false, true}) {
          SCOPED_TRACE(
              fmt::format("{} {}x{}x{} {}{}", row.batch, row.m, row.k, row.n, transpose_a, transpose_b));
          const MatmulParams p{transpose_a, transpose_b};
          const Tensor a = random_tensor(shape(row, transpose_a, row.m, row.k), 1).to(type);
          const Tensor b = random_tensor(shape(row, transpose_b, row.k, row.n), 2).to(type);
          const Tensor grad_y = random_tensor(shape(row, false, row.m, row.n), 3).to(type);
          expect_close(to_host(cuda::matmul(on_device(a), on_device(b), p)), cpu::matmul(a, b, p),
                       cuda_tolerance(type, row.k), "y");
          expect_close(to_host(cuda::matmul_backward_a(on_device(grad_y), on_device(b), p)),
                       cpu::matmul_backward_a(grad_y, b, p), cuda_tolerance(type, row.n), "grad_a");
          expect_close(to_host(cuda::matmul_backward_b(on_device(grad_y), on_device(a), p)),
                       cpu::matmul_backward_b(grad_y, a, p), cuda_tolerance(type, row.m), "grad_b");
        }
}

TEST(CudaMatmul, Errors) {
  DCL_NEEDS_DEVICE();
  const Tensor a = on_device(Tensor::zeros({2, 3}));
  expect_error([&] { cuda::matmul(a, a); }, {"matmul", "3 and 2", "[2,3]"});
  const Tensor narrow = on_device(Tensor::zeros({2, 2}, {DType::bfloat16, {}}));
  expect_error([&] { cuda::matmul(narrow, narrow); }, {"matmul", "float32 or float64", "bfloat16"});
}

}  // namespace
}  // namespace dcl::test
