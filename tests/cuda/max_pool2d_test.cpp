#include "tensor/ops/max_pool2d.h"

#include "tests/cuda/cuda_rows.h"

namespace dcl::test {
namespace {

using tensor::DType;
using tensor::MaxPool2dParams;
namespace cpu = tensor::cpu;
namespace cuda = tensor::cuda;

struct Row {
  const char* name;
  Shape x;
  MaxPool2dParams params;
};

const std::vector<Row>& rows() {
  static const std::vector<Row> all{
      {"ResNet", {2, 12, 10, 64}, {3, 2, 1}},
      {"odd sizes", {1, 7, 9, 5}, {3, 2, 1}},
      {"no overlap", {2, 4, 6, 8}, {2, 2, 0}},
      {"overlap without padding", {1, 6, 5, 3}, {3, 1, 0}},
      {"gaps between windows, and pixels in none", {1, 9, 9, 2}, {2, 4, 1}},
      {"large kernel", {1, 8, 7, 4}, {7, 1, 3}},
      {"one pixel", {2, 1, 1, 3}, {3, 2, 1}},
      {"the largest kernel", {1, 15, 15, 1}, {15, 1, 0}},
      {"rows of more packs than blocks have threads", {1, 3, 130, 40}, {3, 2, 1}},
      {"no pictures", {0, 4, 4, 8}, {3, 2, 1}},
      {"no channels", {2, 4, 4, 0}, {3, 2, 1}}};
  return all;
}

void expect_the_cpus(const Tensor& x, const MaxPool2dParams& params) {
  const auto expected = cpu::max_pool2d(x, params);
  const auto result = cuda::max_pool2d(on_device(x), params);
  expect_same_bits(to_host(result.y), expected.y);
  expect_same_bits(to_host(result.tap), expected.tap);
  const Tensor grad_y = random_tensor(expected.y.shape(), 3).to(x.dtype());
  expect_same_bits(to_host(cuda::max_pool2d_backward(on_device(grad_y), result.tap, x.shape(), params)),
                   cpu::max_pool2d_backward(grad_y, expected.tap, x.shape(), params));
}

TEST(CudaMaxPool2d, IsTheCpus) {
  DCL_NEEDS_DEVICE();
  const PoisonedMemory poisoned;
  for (const DType type : {DType::float32, DType::float64, DType::bfloat16})
    for (const Row& row : rows()) {
      SCOPED_TRACE(row.name);
      // Of few values, so that windows have equal ones; all negative, so that a zero outside would win.
      expect_the_cpus(random_index(row.x, 5, 1).to(DType::float64).to(type), row.params);
      expect_the_cpus(random_tensor(row.x, 2, {-3, -1}).to(type), row.params);
    }
}

TEST(CudaMaxPool2d, NanWinsAndMinusInfinityCounts) {
  DCL_NEEDS_DEVICE();
  const float inf = INFINITY;
  const Tensor x = Tensor::from<float>({1, NAN, 3, -inf, -inf, -inf}, {1, 1, 6, 1});
  for (const Tensor& picture : {x, x.reshape({1, 2, 3, 1}), x.reshape({1, 3, 2, 1})}) {
    expect_the_cpus(picture, {3, 3, 1});
    expect_the_cpus(picture, {3, 1, 1});
  }
}

TEST(CudaMaxPool2d, AddressesBetweenPacks) {
  DCL_NEEDS_DEVICE();
  const Tensor flat = random_tensor({1 + 4 * 4 * 8}, 4).to(DType::float32);
  const auto picture = [](const Tensor& t) { return t.rows(1, t.numel()).reshape({1, 4, 4, 8}); };
  const Tensor on = on_device(flat);
  expect_same_bits(to_host(cuda::max_pool2d(picture(on), {3, 2, 1}).y),
                   cpu::max_pool2d(picture(flat), {3, 2, 1}).y);
}

TEST(CudaMaxPool2d, Errors) {
  DCL_NEEDS_DEVICE();
  const auto call = [](const Shape& x, MaxPool2dParams params) {
    return [=] { cuda::max_pool2d(on_device(random_tensor(x)), params); };
  };
  expect_error(call({4, 4, 3}, {2, 2, 0}), {"max_pool2d", "[4,4,3]", "[N,H,W,C]"});
  expect_error(call({1, 2, 4, 3}, {5, 1, 1}), {"kernel 5 is larger than the picture", "[1,2,4,3]"});
  expect_error([] { cuda::max_pool2d(Tensor(), {}); }, {"max_pool2d", "undefined"});
}

}  // namespace
}  // namespace dcl::test
