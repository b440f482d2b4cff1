// The gradient check itself: it passes what is right and finds what is wrong.
#include "autograd/gradcheck.h"

#include <cmath>
#include <limits>

#include <gtest/gtest.h>

#include "autograd/ops.h"
#include "tests/ops/op_table.h"

namespace dcl::autograd {
namespace {

using dcl::test::random_tensor;

// x³ by hand, with a gradient of `factor(i) · 3x²`.
Variable cube(const Variable& x, const std::function<double(std::int64_t)>& factor) {
  Tensor out = tensor::empty_like(x.value());
  for (std::int64_t i = 0; i < out.numel(); ++i)
    out.data<double>()[i] = std::pow(x.value().data<double>()[i], 3);
  return record("cube", out, {x}, [value = x.value(), factor](const Tensor& grad, const Needs&) {
    Tensor dx = tensor::empty_like(value);
    for (std::int64_t i = 0; i < dx.numel(); ++i) {
      const double v = value.data<double>()[i];
      dx.data<double>()[i] = grad.data<double>()[i] * 3 * v * v * factor(i);
    }
    return std::vector<Tensor>{dx};
  });
}

GradcheckResult check_cube(const std::function<double(std::int64_t)>& factor) {
  return gradcheck([&](const auto& in) { return cube(in[0], factor); },
                   {random_tensor({2, 3}, 5, {0.5, 1.5})});
}

TEST(Gradcheck, PassesARightGradient) {
  const GradcheckResult result = check_cube([](std::int64_t) { return 1.0; });
  EXPECT_TRUE(result.ok) << result.message;
  EXPECT_LE(result.worst, 0.1);
}

TEST(Gradcheck, FindsOneWrongElement) {
  const GradcheckResult result = check_cube([](std::int64_t i) { return i == 4 ? 1.001 : 1.0; });
  EXPECT_FALSE(result.ok);
  EXPECT_GT(result.worst, 1);
  EXPECT_NE(result.message.find("input 0 element 4"), std::string::npos) << result.message;
}

TEST(Gradcheck, FindsSignZeroAndNan) {
  for (const double factor : {-1.0, 0.0, std::numeric_limits<double>::quiet_NaN()})
    EXPECT_FALSE(check_cube([=](std::int64_t) { return factor; }).ok) << factor;
}

// A graph cut by mistake gives no gradient at all; that counts as zero.
TEST(Gradcheck, FindsAMissingGradient) {
  const auto cut = [](const std::vector<Variable>& in) { return mul(in[0].detach(), in[1]); };
  const GradcheckResult result = gradcheck(cut, {random_tensor({3}, 1), random_tensor({3}, 2)});
  EXPECT_FALSE(result.ok);
  EXPECT_NE(result.message.find("input 0"), std::string::npos) << result.message;
}

// Weighed alike, the outputs would hide that their gradients are in the wrong order.
TEST(Gradcheck, WeighsTheOutputs) {
  const auto swapped = [](const std::vector<Variable>& in) {
    const Tensor& x = in[0].value();
    return record("reverse", x.clone(), {in[0]}, [](const Tensor& grad, const Needs&) {
      Tensor out = tensor::empty_like(grad);
      for (std::int64_t i = 0; i < grad.numel(); ++i)
        out.data<double>()[i] = grad.data<double>()[grad.numel() - 1 - i];
      return std::vector<Tensor>{out};
    });
  };
  EXPECT_FALSE(gradcheck(swapped, {random_tensor({4}, 3)}).ok);
}

TEST(Gradcheck, LeavesItsInputsAlone) {
  const Tensor x = random_tensor({5}, 9);
  const Tensor before = x.clone();
  EXPECT_TRUE(gradcheck([](const auto& in) { return exp(in[0]); }, {x}).ok);
  dcl::test::expect_same_bits(x, before);
}

TEST(Gradcheck, TakesDoublesOnly) {
  dcl::test::expect_error([] { gradcheck([](const auto& in) { return exp(in[0]); }, {Tensor::zeros({1})}); },
                          {"gradcheck: input is float32 [1], expected float64"});
}

}  // namespace
}  // namespace dcl::autograd
