#include "tensor/ops/slice_rows.h"

#include "tests/cuda/cuda_rows.h"

namespace dcl::test {
namespace {

using tensor::DType;
namespace cpu = tensor::cpu;
namespace cuda = tensor::cuda;

struct Row {
  Shape x;
  std::int64_t begin, end;
};

TEST(CudaSliceRows, BackwardIsTheCpus) {
  DCL_NEEDS_DEVICE();
  const PoisonedMemory poisoned;
  for (const DType type : {DType::float32, DType::float64, DType::bfloat16})
    for (const auto& row : {Row{{4, 3}, 1, 3}, Row{{4, 3}, 0, 4}, Row{{4, 3}, 3, 4}, Row{{5}, 0, 2},
                            Row{{3, 1, 2}, 1, 2}, Row{{4, 3}, 2, 2}, Row{{0, 3}, 0, 0}, Row{{3, 0}, 1, 2},
                            Row{{97, 16}, 11, 90}, Row{{97, 17}, 11, 90}}) {
      SCOPED_TRACE(fmt::format("{} [{}, {}) of {}", name_of(type), row.begin, row.end, row.x.str()));
      const Tensor grad_y = random_tensor(row.x, 1).rows(row.begin, row.end).to(type);
      expect_same_bits(to_host(cuda::slice_rows_backward(on_device(grad_y), row.x, row.begin)),
                       cpu::slice_rows_backward(grad_y, row.x, row.begin));
    }
}

TEST(CudaSliceRows, Errors) {
  DCL_NEEDS_DEVICE();
  const Tensor grad_y = on_device(Tensor::zeros({2, 3}));
  expect_error([&] { cuda::slice_rows_backward(Tensor(), {4, 3}, 0); }, {"slice_rows", "undefined"});
  expect_error([&] { cuda::slice_rows_backward(grad_y, {4, 3}, 3); }, {"[3, 5)", "[4,3]"});
  expect_error([&] { cuda::slice_rows_backward(grad_y, {4, 2}, 0); }, {"[2,3]", "[2,2]"});
}

}  // namespace
}  // namespace dcl::test
