#include "tensor/ops/max_pool2d.h"

#include <cmath>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "autograd/ops.h"
#include "tests/ops/op_table.h"

namespace dcl::test {
namespace {

using tensor::DType;
using tensor::MaxPool2dParams;

struct Row {
  std::string name;
  Shape x;
  MaxPool2dParams params;
};

const std::vector<Row> kRows = {
    {"ResNet", {2, 8, 6, 3}, {3, 2, 1}},
    {"ResNet, odd sizes", {1, 7, 9, 5}, {3, 2, 1}},
    {"no overlap", {2, 4, 6, 2}, {2, 2, 0}},
    {"overlap without padding", {1, 6, 5, 3}, {3, 1, 0}},
    {"rest at the border", {1, 7, 8, 2}, {2, 3, 0}},
    {"gaps between windows", {1, 9, 9, 2}, {2, 4, 1}},
    {"large kernel", {1, 8, 7, 2}, {7, 1, 3}},
    {"one pixel", {2, 1, 1, 3}, {3, 2, 1}},
    {"one output", {1, 5, 5, 2}, {5, 5, 0}},
    {"kernel 1", {1, 3, 4, 2}, {1, 1, 0}},
    {"channels in chunks and a rest", {1, 5, 4, 67}, {3, 2, 1}},
};

// The largest of each window; everything negative, so that a zero from the padding would win.
Tensor naive(const Tensor& x, const MaxPool2dParams& p) {
  const std::int64_t h = x.size(1);
  const std::int64_t w = x.size(2);
  const std::int64_t c = x.size(3);
  const std::int64_t out_h = (h + 2 * p.padding - p.kernel) / p.stride + 1;
  const std::int64_t out_w = (w + 2 * p.padding - p.kernel) / p.stride + 1;
  Tensor y = Tensor::full({x.size(0), out_h, out_w, c}, -INFINITY, x.options());
  for (std::int64_t i = 0; i < y.numel(); ++i)
    for (std::int64_t r = 0; r < p.kernel; ++r)
      for (std::int64_t s = 0; s < p.kernel; ++s) {
        const std::int64_t row = i / c / out_w % out_h * p.stride + r - p.padding;
        const std::int64_t column = i / c % out_w * p.stride + s - p.padding;
        if (row < 0 || row >= h || column < 0 || column >= w) continue;
        const std::int64_t from = ((i / c / out_w / out_h * h + row) * w + column) * c + i % c;
        y.data<double>()[i] = std::max(y.data<double>()[i], x.data<double>()[from]);
      }
  return y;
}

TEST(MaxPool2d, Values) {
  for (const auto& row : kRows) {
    Tensor x = distinct_tensor(row.x, 1);
    for (std::int64_t i = 0; i < x.numel(); ++i) x.data<double>()[i] -= 100;
    const auto out = tensor::cpu::max_pool2d(x, row.params);
    expect_same_bits(out.y, naive(x, row.params), row.name);
    const Tensor x32 = x.to(DType::float32);
    const auto out32 = tensor::cpu::max_pool2d(x32, row.params);
    expect_same_bits(out32.y, naive(x32.to(DType::float64), row.params).to(DType::float32), row.name);
    expect_same_bits(out32.tap, out.tap, row.name);
  }
}

TEST(MaxPool2d, Gradients) {
  for (const auto& row : kRows) {
    const Function function = [&](const std::vector<Variable>& in) { return max_pool2d(in[0], row.params); };
    run_gradcheck("max_pool2d", row.name, function, {distinct_tensor(row.x, 1)});
    run_float_check("max_pool2d", row.name, function, {distinct_tensor(row.x, 1)}, {1e-6, 1e-6});
  }
}

TEST(MaxPool2d, FirstOfEqualValuesGetsTheGradient) {
  const Variable x(Tensor::zeros({1, 3, 3, 1}), true);
  backward(max_pool2d(x, {.kernel = 2, .stride = 1}), Tensor::from<float>({1, 2, 4, 8}, {1, 2, 2, 1}));
  expect_same_bits(x.grad(), Tensor::from<float>({1, 2, 0, 4, 8, 0, 0, 0, 0}, {1, 3, 3, 1}));
}

TEST(MaxPool2d, NanWinsAndMinusInfinityCounts) {
  const float inf = INFINITY;
  const Tensor x = Tensor::from<float>({1, NAN, 3, -inf, -inf, -inf}, {1, 1, 6, 1});
  const auto out = tensor::cpu::max_pool2d(x, {.kernel = 3, .stride = 3, .padding = 1});
  // Windows: (pad,1,NaN), (3,-inf,-inf); the rows above and below are padding.
  expect_close(out.y, Tensor::from<float>({NAN, 3}, {1, 1, 2, 1}));
  const auto all = tensor::cpu::max_pool2d(x.reshape({1, 2, 3, 1}), {.kernel = 3, .stride = 1, .padding = 1});
  // Columns (pad,0,1), (0,1,2), (1,2,pad) of both rows; NaN is in each, and stays with what is larger than
  // it.
  for (std::int64_t i = 0; i < all.y.numel(); ++i) EXPECT_TRUE(std::isnan(all.y.data<float>()[i])) << i;
  const Tensor low = Tensor::full({1, 2, 2, 1}, -inf);
  const auto lowest = tensor::cpu::max_pool2d(low, {.kernel = 2, .stride = 2});
  EXPECT_EQ(lowest.y.item(), -inf);
  EXPECT_EQ(lowest.tap.item(), 0);
}

TEST(MaxPool2d, LargestTapFitsItsByte) {
  Tensor x = Tensor::zeros({1, 15, 15, 1});
  x.data<float>()[224] = 1;
  const Variable in(x, true);
  backward(max_pool2d(in, {.kernel = 15, .stride = 1}), Tensor::full({1, 1, 1, 1}, 3));
  expect_same_bits(in.grad().reshape({225}).rows(224, 225), Tensor::full({1}, 3));
}

TEST(MaxPool2d, NoPictures) {
  EXPECT_EQ(tensor::cpu::max_pool2d(random_tensor({0, 4, 4, 3}), {3, 2, 1}).y.shape(), (Shape{0, 2, 2, 3}));
}

TEST(MaxPool2d, Errors) {
  const auto call = [](const Shape& x, MaxPool2dParams params) {
    return [=] { tensor::cpu::max_pool2d(random_tensor(x), params); };
  };
  expect_error(call({4, 4, 3}, {2, 2, 0}), {"max_pool2d", "[4,4,3]", "[N,H,W,C]"});
  expect_error(call({1, 4, 4, 3}, {16, 2, 0}), {"kernel is 16", "1 to 15"});
  expect_error(call({1, 4, 4, 3}, {2, 0, 0}), {"stride is 0"});
  expect_error(call({1, 4, 4, 3}, {3, 2, 2}), {"padding is 2"});
  expect_error(call({1, 2, 4, 3}, {5, 1, 1}), {"kernel 5 is larger than the picture", "[1,2,4,3]"});
}

}  // namespace
}  // namespace dcl::test
