// The engine on graphs whose gradients have closed forms.
#include <cmath>
#include <thread>

#include <gtest/gtest.h>

#include "autograd/gradcheck.h"
#include "autograd/node.h"
#include "autograd/ops.h"
#include "tensor/ops/batch_norm_act.h"
#include "tensor/ops/conv2d.h"
#include "tensor/ops/elementwise.h"
#include "tests/ops/op_table.h"

namespace dcl::autograd {
namespace {

using dcl::test::expect_close;
using dcl::test::expect_error;
using dcl::test::expect_same_bits;
using tensor::Shape;

Tensor doubles(const std::vector<double>& values, Shape shape) {
  return Tensor::from(values, std::move(shape));
}

Variable leaf(const std::vector<double>& values) {
  return {doubles(values, {static_cast<std::int64_t>(values.size())}), true};
}

TEST(Engine, AChainMultipliesDerivatives) {
  const Variable x = leaf({0.3, -1.2});
  backward(sum(tanh(exp(x))));
  std::vector<double> expected;
  for (const double v : {0.3, -1.2})
    expected.push_back((1 - std::pow(std::tanh(std::exp(v)), 2)) * std::exp(v));
  expect_close(x.grad(), doubles(expected, {2}));
}

TEST(Engine, GradientsBelongToThePartOfTheirOp) {
  const Variable x = leaf({0.3, -1.2});
  Variable y;
  {
    const tensor::ProfilePart part("half");
    y = exp(x);
  }
  const Variable root = sum(tanh(y));
  const tensor::ProfileRecording recording;
  backward(root);
  std::vector<std::string_view> parts;
  for (const auto& event : recording.events()) parts.push_back(event.part);
  EXPECT_EQ(parts, (std::vector<std::string_view>{"", "", "half"}));  // of sum, tanh, exp
  EXPECT_EQ(tensor::ProfilePart::current(), "");
}

// x feeds a and b, both feed the result: d/dx (x² · e^x) = 2x e^x + x² e^x.
TEST(Engine, ADiamondAddsItsTwoWays) {
  const Variable x = leaf({0.5, 2});
  const Variable a = mul(x, x);
  const Variable b = exp(x);
  backward(sum(mul(a, b)));
  std::vector<double> expected;
  for (const double v : {0.5, 2.0}) expected.push_back((2 * v + v * v) * std::exp(v));
  expect_close(x.grad(), doubles(expected, {2}));
}

// Each level doubles the number of ways; walked way by way, 60 levels would never end.
TEST(Engine, EachNodeIsWalkedOnce) {
  const Variable x = leaf({1});
  Variable y = x;
  for (int i = 0; i < 60; ++i) y = add(y, y);
  backward(y);
  EXPECT_EQ(x.grad().item(), std::ldexp(1.0, 60));
}

TEST(Engine, ADeepGraphIsNoRecursion) {
  const Variable x = leaf({1});
  Variable y = x;
  for (int i = 0; i < 20000; ++i) y = add(y, Variable(Tensor::full({1}, 0, y.value().options())));
  backward(y);
  EXPECT_EQ(x.grad().item(), 1);
}

TEST(Engine, AResultNobodyWalkedGoesAwayQuietly) {
  Variable y = leaf({1});
  for (int i = 0; i < 100000; ++i) y = neg(y);
  EXPECT_EQ(y.value().item(), 1);
}

TEST(Engine, OneInputTwiceGetsBothShares) {
  const Variable x = leaf({3});
  backward(mul(x, x));
  EXPECT_EQ(x.grad().item(), 6);
  const Variable y = leaf({3});
  backward(sub(y, y));
  EXPECT_EQ(y.grad().item(), 0);
}

// add hands one tensor to both inputs; accumulating into it in place would change the other's.
TEST(Engine, ATensorReturnedTwiceIsNotSharedByLeaves) {
  const Variable a = leaf({1, 2});
  const Variable b = leaf({3, 4});
  backward(sum(add(add(a, b), a)));
  EXPECT_EQ(a.grad().to_vector<double>(), (std::vector<double>{2, 2}));
  EXPECT_EQ(b.grad().to_vector<double>(), (std::vector<double>{1, 1}));
  backward(sum(mul(a, Variable(doubles({5, 7}, {2})))));
  EXPECT_EQ(a.grad().to_vector<double>(), (std::vector<double>{7, 9}));
  EXPECT_EQ(b.grad().to_vector<double>(), (std::vector<double>{1, 1}));
}

TEST(Engine, TheSeedIsNotChanged) {
  const Variable a = leaf({1, 2});
  const Tensor seed = doubles({10, 20}, {2});
  backward(add(a, a), seed);
  backward(add(a, a), seed);
  EXPECT_EQ(seed.to_vector<double>(), (std::vector<double>{10, 20}));
  EXPECT_EQ(a.grad().to_vector<double>(), (std::vector<double>{40, 80}));
}

TEST(Engine, SumsOverWhatWasBroadcast) {
  const Variable row(doubles({1, 2, 3}, {3}), true);
  const Variable column(doubles({4, 5}, {2, 1}), true);
  const Variable one(doubles({6}, {}), true);
  const Variable full(doubles({1, 2, 3, 4, 5, 6}, {2, 3}), true);
  backward(sum(mul(add(add(row, column), one), full)));
  EXPECT_EQ(row.grad().shape(), Shape{3});
  EXPECT_EQ(row.grad().to_vector<double>(), (std::vector<double>{5, 7, 9}));
  EXPECT_EQ(column.grad().shape(), (Shape{2, 1}));
  EXPECT_EQ(column.grad().to_vector<double>(), (std::vector<double>{6, 15}));
  EXPECT_EQ(one.grad().shape(), Shape());
  EXPECT_EQ(one.grad().item(), 21);
  EXPECT_EQ(full.grad().to_vector<double>(), (std::vector<double>{11, 12, 13, 12, 13, 14}));
}

TEST(Engine, GradientsAccumulateOverCallsUntilZeroed) {
  Variable x = leaf({2});
  EXPECT_FALSE(x.grad().defined());
  backward(mul(x, x));
  backward(exp(x));
  EXPECT_DOUBLE_EQ(x.grad().item(), 4 + std::exp(2.0));
  const Tensor kept = x.grad();  // whoever holds the gradient keeps its numbers
  backward(mul(x, x));
  EXPECT_DOUBLE_EQ(kept.item(), 4 + std::exp(2.0));
  EXPECT_DOUBLE_EQ(x.grad().item(), 8 + std::exp(2.0));
  x.zero_grad();
  EXPECT_FALSE(x.grad().defined());
}

TEST(Engine, TheGraphIsReleasedOnTheWay) {
  const Variable x = leaf({2});
  const Variable y = mul(x, x);
  backward(exp(y));
  expect_error([&] { backward(exp(y)); }, {"backward: the graph of mul was walked before"});
  expect_error([&] { backward(y); }, {"walked before"});
}

TEST(Engine, ActivationsGoAsTheWalkPassesThem) {
  const Variable x(Tensor::full({1 << 16}, 1, {tensor::DType::float64, {}}), true);
  const auto live = [] { return tensor::allocator({}).stats().live; };
  const std::int64_t before = live();
  Variable y = exp(exp(exp(x)));
  const Variable loss = mean(y);
  y = Variable();
  EXPECT_GE(live() - before, 3 * x.value().nbytes());
  backward(loss);
  EXPECT_LE(live() - before, x.value().nbytes() + 4096);  // the gradient and the loss
}

TEST(Engine, WhatNeedsNoGradientGetsNone) {
  const Variable x = leaf({2});
  const Variable constant(doubles({3}, {1}));
  std::vector<bool> asked;
  const Variable y = record("probe", doubles({6}, {1}), {x, constant, Variable()},
                            [&](const Tensor& grad, const Needs& needs) {
                              asked = needs.needed();
                              return std::vector<Tensor>{grad, Tensor(), Tensor()};
                            });
  backward(y);
  EXPECT_EQ(asked, (std::vector<bool>{true, false, false}));
  EXPECT_EQ(x.grad().item(), 1);
  EXPECT_FALSE(constant.grad().defined());
}

TEST(Engine, NothingIsRecordedWithoutNeed) {
  const Variable constant(doubles({3}, {1}));
  EXPECT_FALSE(mul(constant, constant).requires_grad());
  const Variable x = leaf({2});
  {
    const NoGradGuard guard;
    EXPECT_FALSE(recording());
    EXPECT_FALSE(mul(x, x).requires_grad());
    {
      const NoGradGuard inner;
    }
    EXPECT_FALSE(recording());
    bool elsewhere = false;
    std::thread([&] { elsewhere = recording(); }).join();
    EXPECT_TRUE(elsewhere) << "the guard is this thread's";
  }
  EXPECT_TRUE(mul(x, x).requires_grad());
  expect_error([&] { backward(constant); }, {"nothing that the root depends on requires a gradient"});
}

// What the backward function has captured goes at once when nobody will ask for gradients.
TEST(Engine, AnUnrecordedOpDropsWhatItSaved) {
  const auto saved = std::make_shared<int>(1);
  const NoGradGuard guard;
  record("probe", doubles({1}, {1}), {leaf({1})},
         [saved](const Tensor& grad, const Needs&) { return std::vector<Tensor>{grad}; });
  EXPECT_EQ(saved.use_count(), 1);
}

TEST(Engine, DetachedShareTheValueAndCutTheGraph) {
  const Variable x = leaf({2});
  const Variable y = mul(x, x);
  const Variable cut = y.detach();
  EXPECT_TRUE(cut.value().shares_with(y.value()));
  EXPECT_FALSE(cut.requires_grad());
  backward(mul(y, cut));  // d/dx x² · c = 2x · 4
  EXPECT_EQ(x.grad().item(), 16);
}

TEST(Engine, BackwardFunctionsAreHeldToTheirWord) {
  const Variable x = leaf({1, 2});
  const auto root = [&](const std::function<std::vector<Tensor>(const Tensor&)>& returned) {
    return record("probe", doubles({3, 4}, {2}), {x},
                  [returned](const Tensor& grad, const Needs&) { return returned(grad); });
  };
  const Tensor seed = doubles({1, 1}, {2});
  const auto fails = [&](const std::function<std::vector<Tensor>(const Tensor&)>& returned,
                         std::string_view why) {
    expect_error([&] { backward(root(returned), seed); }, {"backward: probe returned", why});
  };
  fails([](const Tensor& g) { return std::vector<Tensor>{g, g}; }, "2 gradients for 1 inputs");
  fails([](const Tensor&) { return std::vector<Tensor>{Tensor()}; }, "no gradient for input 0");
  fails([](const Tensor&) { return std::vector<Tensor>{Tensor::zeros({2})}; },
        "float32 [2] for an input of float64");
  fails([](const Tensor&) { return std::vector<Tensor>{doubles({1}, {1})}; },
        "float64 [1] for an input of [2]");
}

TEST(Engine, RootAndSeedAreChecked) {
  const Variable x = leaf({1, 2});
  expect_error([&] { backward(mul(x, x)); }, {"backward: the root is float64 [2]; a seed is needed"});
  expect_error([&] { backward(mul(x, x), doubles({1}, {1})); }, {"backward: seed is [1], expected [2]"});
}

TEST(Variable, SaysWhatIsWrongWithItsUse) {
  expect_error([] { Variable(Tensor{}); }, {"variable: the tensor is undefined"});
  expect_error([] { Variable().value(); }, {"undefined variable"});
  expect_error([] { Variable(Tensor::full({1}, 1, {tensor::DType::int64, {}}), true); },
               {"int64 [1] cannot require a gradient"});
  Variable y = mul(leaf({1}), leaf({2}));
  expect_error([&] { y.mutable_value(); }, {"the result of mul may not be changed in place"});
  expect_error([&] { y.set_requires_grad(false); }, {"the result of mul cannot stop requiring"});
}

TEST(Variable, VersionsCountOverwrites) {
  Variable x = leaf({1});
  const Variable same = x;
  EXPECT_EQ(x.version(), 0U);
  x.mutable_value().fill(3);
  x.bump_version();
  EXPECT_EQ(same.version(), 1U);
  EXPECT_EQ(same.value().item(), 3);
}

// An output that can be made again is not kept for backward, and is the same bits.
TEST(Saved, IsMadeAgainWhereItsOpKnowsHow) {
  const Variable x(test::random_tensor({4, 3, 3, 2}, 1), true);
  const Variable weight(test::random_tensor({2}, 2), true);
  const Variable bias(test::random_tensor({2}, 3), true);
  tensor::RunningStats stats;
  const auto normalised = [&](const Variable& residual) {
    return batch_norm_act(x, weight, bias, stats, {.relu = true, .groups = 2}, residual);
  };
  const Variable y = normalised({});
  const Saved saved = y.save();
  EXPECT_EQ(saved.shape(), y.shape());
  EXPECT_FALSE(saved.get().shares_with(y.value()));
  expect_same_bits(saved.get(), y.value());
  // What is not cheap to make again is kept: with a residual, a leaf, and where nothing was recorded.
  const Variable sum = normalised(x);
  EXPECT_TRUE(sum.save().get().shares_with(sum.value()));
  EXPECT_TRUE(x.save().get().shares_with(x.value()));
  const NoGradGuard no_grad;
  const Variable unrecorded = normalised({});
  EXPECT_TRUE(unrecorded.save().get().shares_with(unrecorded.value()));
}

// The memory of the normalised activations is free between forward and backward.
TEST(Saved, AConvolutionKeepsNoActivationThatCanBeMadeAgain) {
  const std::int64_t side = 64;
  const Variable x(test::random_tensor({2, side, side, 16}, 1), true);
  const Variable scale(Tensor::full({16}, 1, {tensor::DType::float64, {}}), true);
  const Variable shift(Tensor::zeros({16}, {tensor::DType::float64, {}}), true);
  const Variable kernel(test::random_tensor({1, 1, 1, 16}, 2), true);
  tensor::RunningStats stats;
  const auto& allocator = tensor::allocator({});
  const std::int64_t before = allocator.stats().live;
  const Variable y = conv2d(batch_norm_act(x, scale, shift, stats, {.relu = true}), kernel);
  // y and the statistics of 16 channels, but not the activation, sixteen times the size of y.
  EXPECT_LT(allocator.stats().live - before, x.value().nbytes() / 2);
  backward(y, Tensor::full(y.shape(), 1, y.value().options()));
  EXPECT_TRUE(kernel.grad().defined());
}

// Up to 64 terms a sum in float32, 128 in bfloat16.
TEST(Saved, ConvolutionsOfShortSumsAreMadeAgain) {
  const auto made_again = [](std::int64_t terms, tensor::DType type) {
    const Variable x(test::random_tensor({1, 2, 2, terms}, 1).to(type), true);
    const Variable kernel(test::random_tensor({3, 1, 1, terms}, 2).to(tensor::parameter_dtype(type)), true);
    const Variable y = conv2d(x, kernel);
    expect_same_bits(y.save().get(), y.value());
    return !y.save().get().shares_with(y.value());
  };
  EXPECT_TRUE(made_again(64, tensor::DType::float32));
  EXPECT_FALSE(made_again(65, tensor::DType::float32));
  EXPECT_TRUE(made_again(128, tensor::DType::bfloat16));
  EXPECT_FALSE(made_again(129, tensor::DType::bfloat16));
}

// Two residual blocks of one convolution each, in bfloat16: the convolutions are made again, and their batch
// norms work in place, without a change of any bit.
TEST(Saved, CheapConvolutionsOfResidualBlocksAreMadeAgain) {
  const tensor::BatchNormParams params{.relu = true};
  const Shape shape{2, 12, 12, 64};
  const auto activation = [&](std::uint64_t seed) {
    return test::random_tensor(shape, seed).to(tensor::DType::bfloat16);
  };
  const auto single = [](const Tensor& x) { return x.to(tensor::DType::float32); };
  const Variable x(activation(1), true);
  const Variable scale(single(test::random_tensor({64}, 2)), true);
  const Variable shift(single(test::random_tensor({64}, 3)), true);
  const std::vector<Variable> kernels{{single(test::random_tensor({64, 1, 1, 64}, 4)), true},
                                      {single(test::random_tensor({64, 1, 1, 64}, 5)), true},
                                      {single(test::random_tensor({1, 1, 1, 64}, 6)), true}};
  tensor::RunningStats stats;
  const auto& allocator = tensor::allocator({});
  const std::int64_t before = allocator.stats().live;
  Variable sum = x;
  for (int i = 0; i < 2; ++i)
    sum = batch_norm_act(conv2d(sum, kernels[static_cast<std::size_t>(i)]), scale, shift, stats, params, sum);
  const Tensor second = sum.value();
  const Variable y = conv2d(sum, kernels[2]);
  // Both sums and little else, not what was summed.
  EXPECT_LT(allocator.stats().live - before, second.nbytes() * 5 / 2);
  EXPECT_TRUE(sum.save().get().shares_with(second));
  sum = Variable();
  const Tensor seed = test::random_tensor(y.shape(), 7).to(tensor::DType::bfloat16);
  backward(y, seed.clone());

  // The same by hand, with everything kept.
  namespace cpu = tensor::cpu;
  const Tensor& s0 = x.value();
  const Tensor c1 = cpu::conv2d(s0, kernels[0].value(), {}, {});
  const auto b1 = cpu::batch_norm_act(c1, scale.value(), shift.value(), stats, params, s0);
  const Tensor c2 = cpu::conv2d(b1.y, kernels[1].value(), {}, {});
  const auto b2 = cpu::batch_norm_act(c2, scale.value(), shift.value(), stats, params, b1.y);
  expect_same_bits(second, b2.y);
  expect_same_bits(kernels[2].grad(), cpu::conv2d_backward_weight(seed, b2.y, kernels[2].shape(), {}));
  const auto through = [&](const Tensor& grad_y, const Tensor& c, const tensor::BatchNormResult& b) {
    return cpu::batch_norm_act_backward(grad_y, {c, scale.value(), shift.value(), b.mean, b.invstd, b.y},
                                        params);
  };
  auto g2 = through(cpu::conv2d_backward_input(seed, kernels[2].value(), b2.y.shape(), {}), c2, b2);
  expect_same_bits(kernels[1].grad(), cpu::conv2d_backward_weight(g2.x, b1.y, kernels[1].shape(), {}));
  // What is added on the way to memory is rounded once.
  auto g1 =
      through(cpu::conv2d_backward_input(g2.x, kernels[1].value(), shape, {}, std::exchange(g2.residual, {})),
              c1, b1);
  expect_same_bits(kernels[0].grad(), cpu::conv2d_backward_weight(g1.x, s0, kernels[0].shape(), {}));
  expect_same_bits(x.grad(), cpu::conv2d_backward_input(g1.x, kernels[0].value(), shape, {},
                                                        std::exchange(g1.residual, {})));
}

}  // namespace
}  // namespace dcl::autograd
