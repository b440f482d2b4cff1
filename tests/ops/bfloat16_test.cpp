// Ops on bfloat16 activations against the same ops in float64 on the same numbers: what they give is
// float64's, rounded once to 8 bits; what is float32 beside them is float64's to float32's accuracy.
// Convolutions and linear layers, whose sums are long, are in tiles_test.cpp.
#include <cmath>
#include <functional>
#include <vector>

#include <gtest/gtest.h>

#include "autograd/ops.h"
#include "tests/ops/op_table.h"

namespace dcl::test {
namespace {

using tensor::DType;

// Half a unit in the last place, and what float32 loses before.
constexpr Tolerance kRoundedOnce{0.0040, 1e-5};
constexpr Tolerance kRoundedTwice{0.0080, 1e-4};
constexpr Tolerance kFloat{1e-4, 1e-4};

struct Argument {
  Tensor value;  // float64
  bool activation = true;
};

struct Case {
  std::string name;
  std::vector<Argument> arguments;
  std::function<Variable(const std::vector<Variable>&)> function;
};

struct Outcome {
  Tensor y;
  std::vector<Tensor> grads;
};

// With activations rounded to bfloat16, then all in float64, or activations in bfloat16 and the rest in
// float32.
Outcome run(const Case& each, bool exact) {
  std::vector<Variable> inputs;
  for (const auto& [value, activation] : each.arguments) {
    const Tensor stored = value.to(activation ? DType::bfloat16 : DType::float32);
    inputs.emplace_back(exact ? stored.to(DType::float64) : stored, true);
  }
  const Variable y = each.function(inputs);
  const Tensor seed = random_tensor(y.shape(), 99).to(DType::bfloat16);
  backward(y, seed.to(y.value().dtype()));
  Outcome out{y.value(), {}};
  for (const auto& input : inputs) out.grads.push_back(input.grad());
  return out;
}

tensor::RunningStats stats_like(const Variable& weight) {
  return {Tensor::full(weight.shape(), 0.1, weight.value().options()),
          Tensor::full(weight.shape(), 1.5, weight.value().options())};
}

std::vector<Case> cases() {
  const auto x = [](std::uint64_t seed) { return Argument{distinct_tensor({4, 9, 7, 20}, seed)}; };
  const auto channels = [](std::uint64_t seed) {
    return Argument{random_tensor({20}, seed, {0.5, 1.5}), false};
  };
  const auto norm = [](tensor::BatchNormParams params) {
    return [params](const std::vector<Variable>& v) {
      auto stats = stats_like(v[1]);
      return batch_norm_act(v[0], v[1], v[2], stats, params, v.size() > 3 ? v[3] : Variable());
    };
  };
  std::vector<Case> all;
  for (const bool training : {true, false})
    for (const bool relu : {true, false}) {
      const auto name = fmt::format("batch_norm_act, training {}, relu {}", training, relu);
      all.push_back({name, {x(1), channels(2), channels(3)}, norm({.training = training, .relu = relu})});
      all.push_back({name + ", residual",
                     {x(1), channels(2), channels(3), x(4)},
                     norm({.training = training, .relu = relu})});
    }
  all.push_back(
      {"batch_norm_act, two groups", {x(1), channels(2), channels(3)}, norm({.relu = true, .groups = 2})});
  all.push_back({"max_pool2d", {x(5)}, [](const auto& v) { return max_pool2d(v[0], {3, 2, 1}); }});
  all.push_back(
      {"adaptive_avg_pool2d", {x(6)}, [](const auto& v) { return adaptive_avg_pool2d(v[0], 2, 3); }});
  all.push_back({"global average", {x(6)}, [](const auto& v) { return adaptive_avg_pool2d(v[0], 1, 1); }});
  all.push_back({"relu", {x(7)}, [](const auto& v) { return relu(v[0]); }});
  all.push_back({"add", {x(8), x(9)}, [](const auto& v) { return add(v[0], v[1]); }});
  all.push_back({"reshape", {x(8)}, [](const auto& v) { return reshape(v[0], {4, -1}); }});
  all.push_back(
      {"linear",
       {{random_tensor({6, 40}, 1)}, {random_tensor({30, 40}, 2), false}, {random_tensor({30}, 3), false}},
       [](const auto& v) {
         // The layer rounds its weight.
         return linear(v[0], autograd::cast(autograd::cast(v[1], DType::bfloat16), v[1].value().dtype()),
                       v[2]);
       }});
  all.push_back({"conv2d with bias",
                 {{random_tensor({2, 5, 5, 8}, 1)},
                  {random_tensor({12, 3, 3, 8}, 2), false},
                  {random_tensor({12}, 3), false}},
                 [](const auto& v) {
                   return conv2d(v[0],
                                 autograd::cast(autograd::cast(v[1], DType::bfloat16), v[1].value().dtype()),
                                 v[2], {.padding = 1});
                 }});
  return all;
}

TEST(Bfloat16, OpsAreFloat64sRounded) {
  for (const Case& each : cases()) {
    const Outcome actual = run(each, false);
    const Outcome exact = run(each, true);
    EXPECT_EQ(actual.y.dtype(), DType::bfloat16) << each.name;
    expect_close(actual.y, exact.y, kRoundedOnce, each.name);
    for (std::size_t i = 0; i < exact.grads.size(); ++i) {
      const bool activation = each.arguments[i].activation;
      EXPECT_EQ(actual.grads[i].dtype(), activation ? DType::bfloat16 : DType::float32) << each.name;
      // A weight's gradient passes the cast that rounds it here; a residual's is masked by the rounded y.
      const bool weight = !activation && each.arguments[i].value.dim() > 1;
      expect_close(actual.grads[i], exact.grads[i], activation || weight ? kRoundedTwice : kFloat,
                   fmt::format("{}, gradient {}", each.name, i));
    }
  }
}

// Both directions of a sum that is used twice are added in bfloat16.
TEST(Bfloat16, GradientsOfSharedActivationsAreAdded) {
  const Variable x(random_tensor({3, 8}, 1).to(DType::bfloat16), true);
  const Variable y = autograd::add(autograd::relu(x), x);
  backward(y, Tensor::full({3, 8}, 1.0, x.value().options()));
  const auto values = x.value().to(DType::float64).to_vector<double>();
  const auto grads = x.grad().to(DType::float64).to_vector<double>();
  for (std::size_t i = 0; i < values.size(); ++i) EXPECT_EQ(grads[i], values[i] > 0 ? 2.0 : 1.0);
}

TEST(Bfloat16, ParametersAreFloat32) {
  const Tensor x = Tensor::zeros({2, 4, 4, 3}, {DType::bfloat16, {}});
  const Tensor weight = Tensor::zeros({5, 3, 3, 3}, {DType::bfloat16, {}});
  expect_error([&] { autograd::conv2d(x, weight); }, {"conv2d", "weight", "float32", "bfloat16"});
  expect_error([&] { autograd::linear(x, weight.reshape({45, 3})); },
               {"linear", "weight", "float32", "bfloat16"});
  tensor::RunningStats none;
  const Tensor channels = Tensor::zeros({3}, {DType::bfloat16, {}});
  expect_error([&] { autograd::batch_norm_act(x, channels, channels, none, {}); },
               {"batch_norm_act", "weight", "float32", "bfloat16"});
}

}  // namespace
}  // namespace dcl::test
