#include "tensor/ops/adaptive_avg_pool2d.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "autograd/ops.h"
#include "tests/ops/op_table.h"

namespace dcl::test {
namespace {

struct Row {
  std::string name;
  Shape x;
  std::int64_t out_h;
  std::int64_t out_w;
};

const std::vector<Row> kRows = {
    {"global mean", {2, 7, 7, 5}, 1, 1},       {"bins that divide", {2, 6, 4, 3}, 3, 2},
    {"bins that overlap", {1, 7, 5, 2}, 3, 4}, {"same size", {2, 3, 2, 4}, 3, 2},
    {"larger than x", {1, 2, 3, 3}, 5, 4},     {"one pixel", {3, 1, 1, 2}, 1, 1},
    {"one pixel spread", {2, 1, 1, 3}, 2, 3},  {"one row, one channel", {1, 1, 9, 1}, 1, 4},
};

// y and, per output, the bin that it is the mean of, from PyTorch's definition.
Tensor naive(const Tensor& x, std::int64_t out_h, std::int64_t out_w) {
  const auto [n, h, w, c] = std::tuple(x.size(0), x.size(1), x.size(2), x.size(3));
  Tensor y = Tensor::zeros({n, out_h, out_w, c}, x.options());
  for (std::int64_t i = 0; i < y.numel(); ++i) {
    const std::int64_t channel = i % c;
    const std::int64_t q = i / c % out_w;
    const std::int64_t p = i / c / out_w % out_h;
    const std::int64_t picture = i / c / out_w / out_h;
    double sum = 0;
    int count = 0;
    for (std::int64_t row = 0; row < h; ++row)
      for (std::int64_t column = 0; column < w; ++column)
        if (row + 1 > double(p) * double(h) / double(out_h) &&
            row < double(p + 1) * double(h) / double(out_h) &&
            column + 1 > double(q) * double(w) / double(out_w) &&
            column < double(q + 1) * double(w) / double(out_w)) {
          sum += x.data<double>()[((picture * h + row) * w + column) * c + channel];
          ++count;
        }
    y.data<double>()[i] = sum / count;
  }
  return y;
}

TEST(AdaptiveAvgPool2d, Values) {
  for (const auto& row : kRows) {
    const Tensor x = random_tensor(row.x, 1);
    expect_close(tensor::cpu::adaptive_avg_pool2d(x, row.out_h, row.out_w), naive(x, row.out_h, row.out_w),
                 {}, row.name);
  }
}

TEST(AdaptiveAvgPool2d, Gradients) {
  for (const auto& row : kRows) {
    const Function function = [&](const std::vector<Variable>& in) {
      return adaptive_avg_pool2d(in[0], row.out_h, row.out_w);
    };
    run_gradcheck("adaptive_avg_pool2d", row.name, function, {random_tensor(row.x, 1)});
    run_float_check("adaptive_avg_pool2d", row.name, function, {random_tensor(row.x, 1)}, {1e-6, 1e-7});
  }
}

TEST(AdaptiveAvgPool2d, NoPictures) {
  EXPECT_EQ(tensor::cpu::adaptive_avg_pool2d(random_tensor({0, 4, 4, 3}), 1, 1).shape(), (Shape{0, 1, 1, 3}));
}

TEST(AdaptiveAvgPool2d, Errors) {
  const auto call = [](const Shape& x, std::int64_t out_h, std::int64_t out_w) {
    return [=] { tensor::cpu::adaptive_avg_pool2d(random_tensor(x), out_h, out_w); };
  };
  expect_error(call({4, 4, 3}, 1, 1), {"adaptive_avg_pool2d", "[4,4,3]", "[N,H,W,C]"});
  expect_error(call({2, 0, 4, 3}, 1, 1), {"empty pictures", "[2,0,4,3]"});
  expect_error(call({2, 4, 4, 3}, 0, 1), {"0 x 1"});
}

}  // namespace
}  // namespace dcl::test
