#include <cmath>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "autograd/ops.h"
#include "tensor/cpu/microkernel.h"
#include "tensor/cpu/threads.h"
#include "tests/ops/op_table.h"
#include "tests/support/vector_targets.h"

namespace dcl::test {
namespace {

using tensor::BatchNormParams;
using tensor::DType;
using tensor::RunningStats;

struct Row {
  std::string name;
  Shape x;
  bool training = true;
  bool relu = false;
  bool residual = false;
  std::int64_t groups = 1;
};

const std::vector<Row> kRows = {
    {"training", {3, 2, 3, 4}},
    {"training relu", {3, 2, 3, 4}, true, true},
    {"training residual", {3, 2, 3, 4}, true, false, true},
    {"training relu residual", {3, 2, 3, 4}, true, true, true},
    {"evaluation", {3, 2, 3, 4}, false},
    {"evaluation relu", {3, 2, 3, 4}, false, true},
    {"evaluation residual", {3, 2, 3, 4}, false, false, true},
    {"evaluation relu residual", {3, 2, 3, 4}, false, true, true},
    {"groups", {6, 2, 1, 3}, true, false, false, 3},
    {"groups relu", {4, 1, 2, 5}, true, true, false, 2},
    {"groups relu residual", {4, 3, 1, 2}, true, true, true, 2},
    {"rows [M,C]", {7, 5}, true, true},
    {"rows in groups", {8, 3}, true, true, true, 4},
    {"size-1 pictures", {5, 1, 1, 3}, true, true, true},
    {"one channel", {2, 3, 5, 1}, true, true},
    {"odd sizes", {3, 5, 3, 7}, true, true, true},
    {"rank 3", {2, 5, 9}, true, true},
};

RunningStats running_stats(std::int64_t channels) {
  return {random_tensor({channels}, 91, {-0.2, 0.2}), random_tensor({channels}, 92, {0.5, 1.5})};
}

BatchNormParams params_of(const Row& row) {
  return {.training = row.training, .relu = row.relu, .groups = row.groups};
}

// x, weight, bias and, if the row has one, the residual.
std::vector<Tensor> inputs_of(const Row& row) {
  const std::int64_t c = row.x[-1];
  std::vector<Tensor> inputs{random_tensor(row.x, 1), random_tensor({c}, 2, {0.5, 1.5}),
                             random_tensor({c}, 3)};
  if (row.residual) inputs.push_back(random_tensor(row.x, 4));
  return inputs;
}

Function function_of(const Row& row) {
  return [row](const std::vector<Variable>& in) {
    RunningStats stats = running_stats(row.x[-1]);
    stats.mean = stats.mean.to(in[0].value().dtype());
    stats.var = stats.var.to(in[0].value().dtype());
    return batch_norm_act(in[0], in[1], in[2], stats, params_of(row), in.size() > 3 ? in[3] : Variable());
  };
}

struct Expected {
  Tensor y;
  RunningStats stats;
  double nearest_kink = 1;  // the smallest |value| that a ReLU saw
};

// The definition, channel by channel, in two passes.
Expected naive(const Row& row, const std::vector<Tensor>& in) {
  const std::int64_t channels = row.x[-1];
  const std::int64_t groups = row.training ? row.groups : 1;
  const std::int64_t rows = row.x.numel() / channels / groups;
  Expected out{empty_like(in[0]), running_stats(channels)};
  const double* x = in[0].data<double>();
  for (std::int64_t g = 0; g < groups; ++g) {
    for (std::int64_t c = 0; c < channels; ++c) {
      const auto at = [&](std::int64_t r) { return (g * rows + r) * channels + c; };
      double mean = out.stats.mean.data<double>()[c];
      double var = out.stats.var.data<double>()[c];
      if (row.training) {
        mean = var = 0;
        for (std::int64_t r = 0; r < rows; ++r) mean += x[at(r)] / double(rows);
        for (std::int64_t r = 0; r < rows; ++r) var += std::pow(x[at(r)] - mean, 2) / double(rows);
        if (g == 0) {
          double* running_mean = out.stats.mean.data<double>() + c;
          double* running_var = out.stats.var.data<double>() + c;
          *running_mean = 0.9 * *running_mean + 0.1 * mean;
          *running_var = 0.9 * *running_var + 0.1 * var * double(rows) / double(rows - 1);
        }
      }
      for (std::int64_t r = 0; r < rows; ++r) {
        double u =
            (x[at(r)] - mean) / std::sqrt(var + 1e-5) * in[1].data<double>()[c] + in[2].data<double>()[c];
        if (row.residual) u += in[3].data<double>()[at(r)];
        out.nearest_kink = std::min(out.nearest_kink, std::abs(u));
        out.y.data<double>()[at(r)] = row.relu ? std::max(u, 0.0) : u;
      }
    }
  }
  return out;
}

TEST(BatchNormAct, ValuesAndRunningStatistics) {
  for (const auto& row : kRows) {
    SCOPED_TRACE(row.name);
    const auto in = inputs_of(row);
    const auto expected = naive(row, in);
    RunningStats stats = running_stats(row.x[-1]);
    const auto out = tensor::cpu::batch_norm_act(in[0], in[1], in[2], stats, params_of(row),
                                                 row.residual ? in[3] : Tensor());
    expect_close(out.y, expected.y, {1e-12, 1e-13}, "y");
    expect_close(stats.mean, expected.stats.mean, {1e-13, 1e-14}, "running mean");
    expect_close(stats.var, expected.stats.var, {1e-13, 1e-14}, "running variance");
  }
}

TEST(BatchNormAct, Gradients) {
  for (const auto& row : kRows) {
    const auto in = inputs_of(row);
    // A difference over a step of 1e-6 is only a gradient where no ReLU switches.
    ASSERT_TRUE(!row.relu || naive(row, in).nearest_kink > 2e-5) << row.name;
    run_gradcheck("batch_norm_act", row.name, function_of(row), in);
    run_float_check("batch_norm_act", row.name, function_of(row), in);
  }
}

// Enough rows for several parts, and a number of them that no part size divides.
TEST(BatchNormAct, LongColumnsAreCutIntoParts) {
  for (const Row& row : {Row{"long", {1, 70, 211, 5}, true, true, true},
                         Row{"wide", {2, 10, 23, 300}, true, true, false, 2}}) {
    SCOPED_TRACE(row.name);
    const auto in = inputs_of(row);
    const auto expected = naive(row, in);
    RunningStats stats = running_stats(row.x[-1]);
    const auto out = tensor::cpu::batch_norm_act(in[0], in[1], in[2], stats, params_of(row),
                                                 row.residual ? in[3] : Tensor());
    expect_close(out.y, expected.y, {1e-11, 1e-12}, "y");
    expect_close(stats.var, expected.stats.var, {1e-12, 1e-13}, "running variance");
  }
}

// dweight = Σ g x̂ and dbias = Σ g from their definition, dx from the textbook's three terms, on a size that
// is cut into parts.
TEST(BatchNormAct, LongGradientsFromTheDefinition) {
  const std::int64_t rows = 60 * 301;
  const std::int64_t channels = 6;
  const Tensor x = random_tensor({rows, channels}, 1, {2, 3});
  const Tensor weight = random_tensor({channels}, 2, {0.5, 1.5});
  const Tensor grad_y = random_tensor({rows, channels}, 5);
  const Variable x_variable(x, true);
  const Variable weight_variable(weight, true);
  const Variable bias_variable(tensor::zeros_like(weight), true);
  RunningStats none;
  backward(batch_norm_act(x_variable, weight_variable, bias_variable, none, {}), grad_y);
  for (std::int64_t c = 0; c < channels; ++c) {
    const auto at = [&](const Tensor& of, std::int64_t r) { return of.data<double>()[r * channels + c]; };
    double mean = 0;
    double var = 0;
    double sum_g = 0;
    double sum_gx = 0;
    for (std::int64_t r = 0; r < rows; ++r) mean += at(x, r) / double(rows);
    for (std::int64_t r = 0; r < rows; ++r) var += std::pow(at(x, r) - mean, 2) / double(rows);
    const double invstd = 1 / std::sqrt(var + 1e-5);
    for (std::int64_t r = 0; r < rows; ++r) {
      sum_g += at(grad_y, r);
      sum_gx += at(grad_y, r) * (at(x, r) - mean) * invstd;
    }
    EXPECT_NEAR(bias_variable.grad().data<double>()[c], sum_g, 1e-9);
    EXPECT_NEAR(weight_variable.grad().data<double>()[c], sum_gx, 1e-9);
    for (std::int64_t r = 0; r < rows; r += 97) {
      const double normalised = (at(x, r) - mean) * invstd;
      const double expected = weight.data<double>()[c] * invstd *
                              (at(grad_y, r) - sum_g / double(rows) - normalised * sum_gx / double(rows));
      EXPECT_NEAR(at(x_variable.grad(), r), expected, 1e-11);
    }
  }
}

// A mean 4096 times the standard deviation: Σx²/n − mean² in float32 would lose all digits.
TEST(BatchNormAct, FloatStatisticsFarFromZero) {
  const std::int64_t rows = 9000;
  const Tensor noise = random_tensor({rows, 3}, 8, {-0.5, 0.5});
  Tensor x = noise.clone();
  for (std::int64_t i = 0; i < x.numel(); ++i) x.data<double>()[i] += 1024;
  x = x.to(DType::float32);
  const Tensor rounded = x.to(DType::float64);
  RunningStats stats{Tensor::zeros({3}), Tensor::zeros({3})};
  const Tensor one = Tensor::full({3}, 1);
  tensor::cpu::batch_norm_act(x, one, Tensor::zeros({3}), stats, {.momentum = 1});
  for (std::int64_t c = 0; c < 3; ++c) {
    double mean = 0;
    double squares = 0;
    for (std::int64_t r = 0; r < rows; ++r) mean += rounded.data<double>()[r * 3 + c] / double(rows);
    for (std::int64_t r = 0; r < rows; ++r) squares += std::pow(rounded.data<double>()[r * 3 + c] - mean, 2);
    EXPECT_NEAR(stats.mean.data<float>()[c], mean, 1e-4);
    EXPECT_NEAR(stats.var.data<float>()[c], squares / double(rows - 1), 1e-7 * squares / double(rows));
  }
}

// The first value of a channel is an outlier, and sums are shifted by it.
TEST(BatchNormAct, FloatStatisticsWithAnOutlierInFront) {
  const std::int64_t rows = 4001;
  Tensor x = random_tensor({rows, 1}, 8).to(DType::float32);
  x.data<float>()[0] = 1e4F;
  double mean = 0;
  double squares = 0;
  for (std::int64_t r = 0; r < rows; ++r) mean += double(x.data<float>()[r]) / double(rows);
  for (std::int64_t r = 0; r < rows; ++r) squares += std::pow(double(x.data<float>()[r]) - mean, 2);
  RunningStats stats{Tensor::zeros({1}), Tensor::zeros({1})};
  tensor::cpu::batch_norm_act(x, Tensor::full({1}, 1), Tensor::zeros({1}), stats, {.momentum = 1});
  EXPECT_NEAR(stats.var.item(), squares / double(rows - 1), 1e-6 * squares / double(rows));
  EXPECT_NEAR(stats.mean.item(), mean, 1e-6 * std::abs(mean));
}

TEST(BatchNormAct, BitsDoNotDependOnThreads) {
  const Row row{"bits", {4, 23, 41, 37}, true, true, true, 2};
  auto in = inputs_of(row);
  for (auto& tensor : in) tensor = tensor.to(DType::float32);
  const auto run = [&](int threads) {
    tensor::cpu::set_num_threads(threads);
    std::vector<Variable> variables;
    for (const auto& tensor : in) variables.emplace_back(tensor, true);
    const Variable y = function_of(row)(variables);
    backward(y, random_tensor(row.x, 5).to(DType::float32));
    std::vector<Tensor> results{y.value()};
    for (const auto& variable : variables) results.push_back(variable.grad());
    return results;
  };
  const int before = tensor::cpu::num_threads();
  const auto one = run(1);
  const auto five = run(5);
  tensor::cpu::set_num_threads(before);
  for (std::size_t i = 0; i < one.size(); ++i) expect_same_bits(five[i], one[i]);
}

// y in evaluation, then all gradients with the same statistics, in training and in evaluation. x has a NaN in
// an odd column and a negative one in an even column, and a number so large that its square would be
// infinite.
std::vector<Tensor> bfloat16_results(std::int64_t channels, bool relu, bool with_residual) {
  const Shape shape{2, 9, 7, channels};
  Tensor x = random_tensor(shape, 1).to(DType::bfloat16);
  x.data<tensor::bfloat16>()[channels + 3] = tensor::bfloat16(NAN);
  x.data<tensor::bfloat16>()[2 * channels + 6] = tensor::bfloat16(-NAN);
  x.data<tensor::bfloat16>()[5 * channels + 1] = tensor::bfloat16(-3e30F);
  const Tensor residual = with_residual ? random_tensor(shape, 2).to(DType::bfloat16) : Tensor();
  const Tensor grad_y = random_tensor(shape, 3).to(DType::bfloat16);
  const auto parameter = [&](std::uint64_t seed) {
    return random_tensor({channels}, seed, {0.5, 2}).to(DType::float32);
  };
  const Tensor weight = parameter(4);
  const Tensor bias = random_tensor({channels}, 5).to(DType::float32);
  RunningStats stats{parameter(6), parameter(7)};
  std::vector<Tensor> all{
      tensor::cpu::batch_norm_act(x, weight, bias, stats, {.training = false, .relu = relu}, residual).y};
  const Tensor mean = parameter(8).reshape({1, channels});
  const Tensor invstd = parameter(9).reshape({1, channels});
  for (const bool training : {true, false}) {
    const auto grads = tensor::cpu::batch_norm_act_backward(
        grad_y, {x, weight, bias, mean, invstd, with_residual ? all[0] : Tensor()},
        {.training = training, .relu = relu});
    all.insert(all.end(), {grads.x, grads.residual, grads.weight, grads.bias});
  }
  return all;
}

// Of a whole number of vectors and not, in one block of channels and in two.
TEST(BatchNormAct, Bfloat16IsTheSameOnEveryInstructionSet) {
  for (const std::int64_t channels : {32, 96, 40, 544})
    for (const bool relu : {false, true})
      for (const bool with_residual : {false, true}) {
        std::vector<Tensor> first;
        on_every_vector_target([] { return std::string(tensor::cpu::microkernel<float>().target); },
                               [&](const std::string& target) {
                                 const auto results = bfloat16_results(channels, relu, with_residual);
                                 if (first.empty()) first = results;
                                 for (std::size_t i = 0; i < results.size(); ++i)
                                   expect_same_bits(results[i], first[i],
                                                    target + ", result " + std::to_string(i));
                               });
      }
}

TEST(BatchNormAct, NanComesThroughTheRelu) {
  Tensor x = random_tensor({4, 33}, 1);
  x.data<double>()[40] = NAN;
  RunningStats none;
  const Tensor one = Tensor::full({33}, 1, x.options());
  const auto out = tensor::cpu::batch_norm_act(x, one, tensor::zeros_like(one), none, {.relu = true});
  for (std::int64_t c = 0; c < 33; ++c) EXPECT_EQ(std::isnan(out.y.data<double>()[c]), c == 7) << c;
}

TEST(BatchNormAct, OnlyTheGradientsAskedFor) {
  const Row row{"", {5, 3}, true, true, true};
  const auto in = inputs_of(row);
  const Variable weight(in[1], true);
  RunningStats none;
  const Variable y = batch_norm_act(in[0], weight, in[2], none, params_of(row), in[3]);
  backward(y, random_tensor(row.x, 5));
  const auto all = [&] {
    std::vector<Variable> variables;
    for (const auto& tensor : in) variables.emplace_back(tensor, true);
    backward(batch_norm_act(variables[0], variables[1], variables[2], none, params_of(row), variables[3]),
             random_tensor(row.x, 5));
    return variables;
  }();
  expect_same_bits(weight.grad(), all[1].grad());
}

TEST(BatchNormAct, EmptyBatchInEvaluation) {
  RunningStats stats = running_stats(3);
  const auto out = tensor::cpu::batch_norm_act(random_tensor({0, 2, 2, 3}), random_tensor({3}),
                                               random_tensor({3}), stats, {.training = false});
  EXPECT_EQ(out.y.shape(), (Shape{0, 2, 2, 3}));
}

TEST(BatchNormAct, Errors) {
  RunningStats stats = running_stats(4);
  RunningStats none;
  const Tensor w = random_tensor({4});
  const auto run = [&](const Tensor& x, BatchNormParams params = {}, const Tensor& residual = {}) {
    return
        [&stats, w, x, params, residual] { tensor::cpu::batch_norm_act(x, w, w, stats, params, residual); };
  };
  expect_error(run(random_tensor({1, 1, 1, 4})),
               {"batch_norm_act: one value a channel in training", "[1,1,1,4]"});
  expect_error(run(random_tensor({4})), {"one value a channel in training"});
  expect_error(run(random_tensor({4, 1, 1, 4}), {.groups = 4}),
               {"one value a channel in training", "groups 4"});
  expect_error(run(random_tensor({0, 3, 3, 4})), {"no value in training"});
  expect_error(run(random_tensor({6, 2, 2, 4}), {.groups = 4}), {"4 groups do not divide a batch of 6"});
  expect_error(run(random_tensor({2, 2, 2, 4}), {.groups = 0}), {"0 groups"});
  expect_error(run(random_tensor({2, 2, 2, 3})), {"weight", "[4]", "[3]"});
  expect_error(run(random_tensor({2, 2, 2, 4}), {}, random_tensor({2, 2, 4})), {"residual"});
  expect_error(run(random_tensor({2, 4}).to(DType::float32)), {"weight", "float64", "float32"});
  expect_error([&] { tensor::cpu::batch_norm_act(random_tensor({2, 4}), w, w, none, {.training = false}); },
               {"evaluation needs running statistics"});
}

}  // namespace
}  // namespace dcl::test
