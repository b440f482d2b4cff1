#include "nn/layers.h"

#include <cmath>

#include <gtest/gtest.h>

#include "autograd/ops.h"
#include "nn/init.h"
#include "nn/state.h"
#include "tests/ops/op_table.h"

namespace dcl::nn {
namespace {

constexpr tensor::TensorOptions kDouble{tensor::DType::float64, {}};

TEST(Sequential, NamesItsLayersLikePyTorchAndTrains) {
  const auto net = sequential(std::make_unique<Linear>(3, 4, kDouble), std::make_unique<Relu>(),
                              std::make_unique<Linear>(4, 2, kDouble));
  std::vector<std::string> names;
  for (auto& [name, parameter] : net->parameters("mlp")) {
    names.push_back(name);
    if (parameter.value().dim() == 2) kaiming_normal(parameter.mutable_value(), weight_key(0, name));
  }
  EXPECT_EQ(names, (std::vector<std::string>{"mlp.0.weight", "mlp.0.bias", "mlp.2.weight", "mlp.2.bias"}));
  const Variable y = net->forward(test::random_tensor({5, 3}));
  EXPECT_EQ(y.shape(), (tensor::Shape{5, 2}));
  autograd::backward(autograd::reshape(autograd::sum(y), {1}));
  // d sum(y) / d last bias = the number of rows.
  test::expect_close(net->parameters()[3].variable.grad(), Tensor::full({2}, 5.0, kDouble));
  test::expect_error([&] { (*net)[3]; }, {"layer 3 of 3"});
}

TEST(BatchNorm2d, TracksInTrainingAndUsesTheTrackedInEvaluation) {
  BatchNorm2d norm({.channels = 2}, kDouble);
  const Tensor x = Tensor::from(std::vector<double>{1, 10, 3, 30, 5, 50, 7, 70}, {4, 1, 1, 2});
  norm.forward(x);
  const auto state = norm.state();
  ASSERT_EQ(state[2].name, "running_mean");
  test::expect_close(state[2].tensor, Tensor::from(std::vector<double>{0.4, 4.0}, {2}));
  // 0.9 · 1 + 0.1 · unbiased variance (20/3 and 2000/3)
  test::expect_close(state[3].tensor, Tensor::from(std::vector<double>{0.9 + 2.0 / 3, 0.9 + 200.0 / 3}, {2}));
  EXPECT_EQ(state[4].name, "num_batches_tracked");
  EXPECT_EQ(state[4].tensor.item(), 1);

  norm.set_training(false);
  const Variable y = norm.forward(x);
  EXPECT_NEAR(y.value().data<double>()[0], (1 - 0.4) / std::sqrt(0.9 + 2.0 / 3 + 1e-5), 1e-12);
  EXPECT_EQ(norm.state()[4].tensor.item(), 1);
}

TEST(BatchNorm2d, GroupsAreNormalisedOnTheirOwnInTrainingOnly) {
  BatchNorm2d grouped({.channels = 3, .groups = 2}, kDouble);
  BatchNorm2d plain({.channels = 3}, kDouble);
  const Tensor x = test::random_tensor({4, 2, 2, 3});
  const Tensor first = x.rows(0, 2);
  test::expect_close(grouped.forward(x).value().rows(0, 2), plain.forward(first).value());
  test::expect_close(grouped.state()[2].tensor, plain.state()[2].tensor, {}, "statistics of chunk 0");
  grouped.set_training(false);
  plain.set_training(false);
  const Tensor odd = test::random_tensor({3, 2, 2, 3});  // two groups do not divide it, and need not
  test::expect_close(grouped.forward(odd).value(), plain.forward(odd).value());
}

// Where a normalisation reads the moments of all rows, the convolution before it brings them.
TEST(BatchNorm2d, TakesTheMomentsOfAConvolution) {
  Conv2d conv({.in_channels = 8, .out_channels = 16, .kernel = 3}, kDouble);
  kaiming_normal(conv.weight.mutable_value(), weight_key(0, "conv"));
  BatchNorm2d norm({.channels = 16}, kDouble);
  BatchNorm2d same({.channels = 16}, kDouble);
  const Variable x = test::random_tensor({4, 6, 5, 8});
  const NormInput input = conv.forward_for(norm, x);
  EXPECT_TRUE(input.moments.defined());
  test::expect_close(norm.forward_relu(input).value(), same.forward_relu(conv.forward(x)).value());
  test::expect_close(norm.state()[3].tensor, same.state()[3].tensor, {}, "running variance");

  norm.set_training(false);
  EXPECT_FALSE(conv.forward_for(norm, x).moments.defined());
  const BatchNorm2d grouped({.channels = 16, .groups = 2}, kDouble);
  EXPECT_FALSE(conv.forward_for(grouped, x).moments.defined());
}

TEST(Module, SetRequiresGradReachesAllParameters) {
  const auto net = sequential(std::make_unique<Linear>(2, 2), std::make_unique<Linear>(2, 2));
  net->set_requires_grad(false);
  for (const auto& [name, parameter] : net->parameters()) EXPECT_FALSE(parameter.requires_grad()) << name;
}

TEST(Layers, RefuseImpossibleSizes) {
  test::expect_error([] { Linear(0, 3); }, {"linear", "0 inputs"});
  test::expect_error([] { Conv2d({.in_channels = 3, .out_channels = 4, .params = {.groups = 2}}); },
                     {"conv2d", "2 groups", "3 input"});
}

TEST(State, PyTorchsLayoutThereAndBack) {
  // weight[o,y,x,i] = 1000 o + 100 y + 10 x + i
  Tensor weight = Tensor::empty({2, 3, 4, 5}, kDouble);
  for (std::int64_t at = 0; at < weight.numel(); ++at) {
    const std::int64_t i = at % 5, x = at / 5 % 4, y = at / 20 % 3, o = at / 60;
    weight.data<double>()[at] = static_cast<double>(1000 * o + 100 * y + 10 * x + i);
  }
  const Tensor file = to_pytorch_layout(weight);
  ASSERT_EQ(file.shape(), (tensor::Shape{2, 5, 3, 4}));
  EXPECT_EQ(file.data<double>()[((1 * 5 + 4) * 3 + 2) * 4 + 3], 1234);
  test::expect_same_bits(from_pytorch_layout(file), weight);
  const Tensor matrix = test::random_tensor({3, 7});
  EXPECT_EQ(transposed(matrix).data<double>()[2 * 3 + 1], matrix.data<double>()[1 * 7 + 2]);
  test::expect_same_bits(transposed(transposed(matrix)), matrix);
}

}  // namespace
}  // namespace dcl::nn
