#include "tensor/ops/cast.h"

#include <cmath>
#include <limits>
#include <vector>

#include "autograd/ops.h"
#include "tests/ops/op_table.h"

namespace dcl::test {
namespace {

using tensor::bfloat16;
using tensor::DType;

// Values whose rounding follows from the format: 8 bits of mantissa with the hidden one, ties to even.
TEST(Cast, RoundsToNearestEven) {
  constexpr double kUlp = 1.0 / 128;  // of numbers from 1 to 2
  const float infinity = std::numeric_limits<float>::infinity();
  const float largest = std::numeric_limits<float>::max();
  struct Row {
    double x, rounded;
  };
  const std::vector<Row> rows{{1, 1},
                              {1 + kUlp / 2, 1},
                              {1 + 3 * kUlp / 2, 1 + 2 * kUlp},
                              {1 + kUlp / 2 + 1e-6, 1 + kUlp},
                              {-(1 + 0.75 * kUlp), -(1 + kUlp)},
                              {-0.0, -0.0},
                              {0x1p-133, 0x1p-133},
                              {0x1.8p-134, 0x1p-133},
                              {largest, infinity},
                              {-infinity, -infinity}};
  std::vector<float> x;
  for (const Row& row : rows) x.push_back(static_cast<float>(row.x));
  x.push_back(std::nanf(""));
  const auto n = std::ssize(x);
  const Tensor rounded = tensor::cpu::cast(Tensor::from(x, {n}), DType::bfloat16);
  const auto back = tensor::cpu::cast(rounded, DType::float32).to_vector<float>();
  const auto* const single = rounded.data<bfloat16>();
  for (std::size_t i = 0; i < rows.size(); ++i) {
    EXPECT_EQ(back[i], static_cast<float>(rows[i].rounded)) << rows[i].x;
    EXPECT_EQ(std::signbit(back[i]), std::signbit(rows[i].rounded)) << rows[i].x;
    EXPECT_EQ(single[i].bits, bfloat16(x[i]).bits) << rows[i].x;
  }
  EXPECT_TRUE(std::isnan(back.back()));
}

TEST(Cast, BetweenAllFloatingTypes) {
  const Tensor x = random_tensor({3, 700}, 1);
  for (const auto from : {DType::float32, DType::float64, DType::bfloat16})
    for (const auto to : {DType::float32, DType::float64, DType::bfloat16}) {
      const Tensor source = x.to(from);
      const Tensor y = tensor::cpu::cast(source, to);
      ASSERT_EQ(y.dtype(), to);
      expect_same_bits(y, source.to(to), fmt::format("{} to {}", name_of(from), name_of(to)));
      EXPECT_EQ(y.shares_with(source), from == to);
    }
}

TEST(Cast, Gradients) {
  const Tensor x = random_tensor({4, 5}, 2);
  run_gradcheck("cast", "to the same type",
                [](const auto& in) { return autograd::cast(in[0], DType::float64); }, {x});
  // Through float32 and back: the gradient of a copy, in the input's type.
  const Variable leaf(x, true);
  const Variable y = autograd::cast(autograd::cast(leaf, DType::float32), DType::float64);
  backward(y, x);
  expect_close(leaf.grad(), x.to(DType::float32), {0, 0});
  EXPECT_EQ(leaf.grad().dtype(), DType::float64);
}

TEST(Cast, Errors) {
  expect_error([] { tensor::cpu::cast(Tensor(), DType::float32); }, {"cast", "undefined"});
  expect_error([] { tensor::cpu::cast(Tensor::zeros({2}, {DType::int64, {}}), DType::float32); },
               {"cast", "int64"});
  expect_error([] { tensor::cpu::cast(Tensor::zeros({2}), DType::uint8); }, {"cast", "uint8"});
}

}  // namespace
}  // namespace dcl::test
