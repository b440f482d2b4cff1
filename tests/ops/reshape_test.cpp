#include "autograd/ops.h"
#include "tests/ops/op_table.h"

namespace dcl::test {
namespace {

TEST(Reshape, ValuesAndGradients) {
  const Tensor x = random_tensor({2, 3, 4}, 1);
  for (const std::vector<std::int64_t>& sizes :
       {std::vector<std::int64_t>{24}, {6, 4}, {-1, 2}, {2, 3, 4}, {1, 24, 1}}) {
    const Tensor y = autograd::reshape(x, sizes).value();
    expect_same_bits(y.reshape(Shape{24}), x.reshape(Shape{24}));
    run_gradcheck("reshape", y.shape().str(), [&](const auto& in) { return autograd::reshape(in[0], sizes); },
                  {x});
  }
  EXPECT_TRUE(autograd::reshape(x, {24}).value().shares_with(x));
  EXPECT_EQ(autograd::reshape(random_tensor({1}), {}).shape(), Shape{});
  EXPECT_EQ(autograd::reshape(Tensor::empty({0, 3}), {3, 0}).shape(), (Shape{3, 0}));
}

TEST(Reshape, Errors) {
  const Tensor x = Tensor::zeros({2, 3});
  expect_error([&] { autograd::reshape(x, {4}); }, {"reshape", "[2,3]", "[4]"});
  expect_error([&] { autograd::reshape(x, {-1, 4}); }, {"reshape", "[2,3]", "4"});
  expect_error([&] { autograd::reshape(x, {-1, -1}); }, {"reshape", "more than one"});
  expect_error([&] { autograd::reshape(Variable(), {1}); }, {"reshape", "undefined"});
}

}  // namespace
}  // namespace dcl::test
