#include "tensor/ops/adaptive_avg_pool2d.h"

#include "tests/cuda/cuda_rows.h"

namespace dcl::test {
namespace {

using tensor::DType;
namespace cpu = tensor::cpu;
namespace cuda = tensor::cuda;

struct Row {
  const char* name;
  Shape x;
  std::int64_t out_h;
  std::int64_t out_w;
};

const std::vector<Row>& rows() {
  static const std::vector<Row> all{{"global mean", {2, 7, 7, 72}, 1, 1},
                                    {"more packs than a row of blocks has threads", {1, 2, 2, 3200}, 1, 1},
                                    {"bins that divide", {2, 6, 4, 3}, 3, 2},
                                    {"bins that overlap", {1, 7, 5, 8}, 3, 4},
                                    {"same size", {2, 3, 2, 4}, 3, 2},
                                    {"larger than x", {1, 2, 3, 3}, 5, 4},
                                    {"one pixel spread", {2, 1, 1, 5}, 2, 3},
                                    {"one row, one channel", {1, 1, 9, 1}, 1, 4},
                                    {"no pictures", {0, 4, 4, 8}, 1, 1},
                                    {"no channels", {2, 4, 4, 0}, 2, 2}};
  return all;
}

TEST(CudaAdaptiveAvgPool2d, IsTheCpus) {
  DCL_NEEDS_DEVICE();
  const PoisonedMemory poisoned;
  for (const DType type : {DType::float32, DType::float64, DType::bfloat16})
    for (const Row& row : rows()) {
      SCOPED_TRACE(row.name);
      const Tensor x = random_tensor(row.x, 1).to(type);
      const Tensor expected = cpu::adaptive_avg_pool2d(x, row.out_h, row.out_w);
      const Tolerance tolerance = cuda_tolerance(type, row.x[1] * row.x[2]);
      expect_close(to_host(cuda::adaptive_avg_pool2d(on_device(x), row.out_h, row.out_w)), expected,
                   tolerance);
      const Tensor grad_y = random_tensor(expected.shape(), 2).to(type);
      expect_close(to_host(cuda::adaptive_avg_pool2d_backward(on_device(grad_y), row.x)),
                   cpu::adaptive_avg_pool2d_backward(grad_y, row.x), tolerance);
    }
}

TEST(CudaAdaptiveAvgPool2d, Errors) {
  DCL_NEEDS_DEVICE();
  const auto call = [](const Shape& x, std::int64_t out_h, std::int64_t out_w) {
    return [=] { cuda::adaptive_avg_pool2d(on_device(random_tensor(x)), out_h, out_w); };
  };
  expect_error(call({4, 4, 3}, 1, 1), {"adaptive_avg_pool2d", "[4,4,3]", "[N,H,W,C]"});
  expect_error(call({2, 0, 4, 3}, 1, 1), {"empty pictures", "[2,0,4,3]"});
  expect_error(call({2, 4, 4, 3}, 0, 1), {"0 x 1"});
}

}  // namespace
}  // namespace dcl::test
