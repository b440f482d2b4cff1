#include "tensor/ops/gather_rows.h"

#include "tests/cuda/cuda_rows.h"

namespace dcl::test {
namespace {

using tensor::DType;
namespace cpu = tensor::cpu;
namespace cuda = tensor::cuda;

struct Row {
  Shape x;
  std::int64_t picked;
};

// Rows of a line and of odd bytes, of more columns than a block has threads; more rows than a warp has lanes.
const std::vector<Row>& rows() {
  static const std::vector<Row> all{{{4, 3}, 9},   {{5, 1}, 1},      {{3, 2, 1, 2}, 5}, {{4, 2}, 0},
                                    {{70, 8}, 65}, {{33, 131}, 100}, {{2, 300}, 40},    {{9}, 200}};
  return all;
}

TEST(CudaGatherRows, IsTheCpus) {
  DCL_NEEDS_DEVICE();
  const PoisonedMemory poisoned;
  for (const DType type : {DType::float32, DType::float64, DType::bfloat16, DType::int64, DType::uint8})
    for (const Row& row : rows()) {
      SCOPED_TRACE(row.x.str());
      const Tensor x = random_tensor(row.x, 1, {0, 200}).to(type);
      const Tensor index = random_index({row.picked}, row.x[0], 2);
      expect_same_bits(to_host(cuda::gather_rows(on_device(x), on_device(index))),
                       cpu::gather_rows(x, index));
      if (type != DType::float32 && type != DType::float64) continue;
      const Tensor grad_y = random_tensor(cpu::gather_rows(x, index).shape(), 3).to(type);
      expect_same_bits(to_host(cuda::gather_rows_backward(on_device(grad_y), on_device(index), row.x)),
                       cpu::gather_rows_backward(grad_y, index, row.x));
    }
}

TEST(CudaGatherRows, RowsOutOfRangeAreNan) {
  DCL_NEEDS_DEVICE();
  const Tensor x = random_tensor({4, 3}, 1).to(DType::float32);
  const Tensor index = Tensor::from<std::int64_t>(std::vector<std::int64_t>{1, 4, -1}, {3});
  const auto y = to_host(cuda::gather_rows(on_device(x), on_device(index))).to_vector<double>();
  for (std::size_t c = 0; c < 3; ++c) EXPECT_EQ(y[c], static_cast<double>(x.data<float>()[3 + c]));
  for (std::size_t c = 3; c < 9; ++c) EXPECT_TRUE(std::isnan(y[c]));
  const Tensor none = Tensor::empty({0, 3});
  for (const double value : to_host(cuda::gather_rows(on_device(none), on_device(index))).to_vector<double>())
    EXPECT_TRUE(std::isnan(value));
  const Tensor ones = Tensor::full({3, 3}, 1, {DType::float32, {}});
  const auto grad = to_host(cuda::gather_rows_backward(on_device(ones), on_device(index), {4, 3}));
  EXPECT_EQ(grad.to_vector<double>(), (std::vector<double>{0, 0, 0, 1, 1, 1, 0, 0, 0, 0, 0, 0}));
}

}  // namespace
}  // namespace dcl::test
