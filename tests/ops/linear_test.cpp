#include "tensor/ops/linear.h"

#include <array>
#include <cmath>
#include <limits>
#include <string>

#include "autograd/ops.h"
#include "tensor/cpu/microkernel.h"
#include "tensor/cpu/threads.h"
#include "tests/ops/op_table.h"
#include "tests/support/vector_targets.h"

namespace dcl::test {
namespace {

using tensor::DType;
namespace cpu = tensor::cpu;

struct Row {
  Shape x;
  std::int64_t out;
};

const std::vector<Row>& rows() {
  static const std::vector<Row> table{{{3, 4}, 5}, {{1, 4}, 2}, {{4}, 3}, {{2, 3, 2}, 4}, {{5, 1}, 1}};
  return table;
}

Tensor reference(const Tensor& x, const Tensor& weight, const Tensor& bias) {
  const std::int64_t in = weight.size(1), out = weight.size(0), count = x.numel() / in;
  std::vector<std::int64_t> sizes = x.shape().sizes();
  sizes.back() = out;
  Tensor y = Tensor::zeros(Shape(sizes), x.options());
  for (std::int64_t r = 0; r < count; ++r)
    for (std::int64_t o = 0; o < out; ++o) {
      double sum = bias.defined() ? bias.data<double>()[o] : 0.0;
      for (std::int64_t i = 0; i < in; ++i)
        sum += x.data<double>()[r * in + i] * weight.data<double>()[o * in + i];
      y.data<double>()[r * out + o] = sum;
    }
  return y;
}

TEST(Linear, ValuesAndGradients) {
  for (const auto& row : rows()) {
    const std::string name = fmt::format("{} to {}", row.x.str(), row.out);
    const Tensor x = random_tensor(row.x, 1);
    const Tensor weight = random_tensor({row.out, row.x[-1]}, 2);
    const Tensor bias = random_tensor({row.out}, 3);
    expect_close(cpu::linear(x, weight, bias), reference(x, weight, bias), {1e-13, 1e-14}, name);
    expect_close(cpu::linear(x, weight, {}), reference(x, weight, {}), {1e-13, 1e-14}, name);
    const auto with_bias = [](const auto& in) { return autograd::linear(in[0], in[1], in[2]); };
    run_gradcheck("linear", name, with_bias, {x, weight, bias});
    run_float_check("linear", name, with_bias, {x, weight, bias});
    run_gradcheck("linear", name + ", no bias", [](const auto& in) { return autograd::linear(in[0], in[1]); },
                  {x, weight});
    run_gradcheck("linear", name + ", weight only",
                  [&](const auto& in) { return autograd::linear(x, in[0], bias); }, {weight});
  }
}

TEST(Linear, LargeValues) {
  const Tensor x = random_tensor({130, 70}, 4), weight = random_tensor({90, 70}, 5),
               bias = random_tensor({90}, 6);
  const Tensor expected = reference(x, weight, bias);
  expect_close(cpu::linear(x, weight, bias), expected, {1e-12, 1e-13});
  expect_close(cpu::linear(x.to(DType::float32), weight.to(DType::float32), bias.to(DType::float32)),
               expected, {1e-5, 1e-5});
}

Tensor transposed(const Tensor& x) {
  Tensor y = Tensor::empty({x.size(1), x.size(0)}, x.options());
  for (std::int64_t i = 0; i < x.size(0); ++i)
    for (std::int64_t j = 0; j < x.size(1); ++j)
      y.data<double>()[j * x.size(0) + i] = x.data<double>()[i * x.size(1) + j];
  return y;
}

// Few rows have kernels of their own: whole groups of eight, four and single ones, numbers that fill vectors
// and such that do not, rows of weights that are copied in several pieces, a number of rows for which they
// are too many. Of bfloat16 the weights count as rounded, and so does the result.
TEST(Linear, FewRowsOnEveryInstructionSet) {
  struct Sizes {
    std::int64_t rows, in, out;
  };
  const auto chosen = [] { return std::string(cpu::microkernel<float>().target); };
  test::on_every_vector_target(chosen, [](const std::string& target) {
    for (const DType dtype : {DType::float32, DType::bfloat16})
      for (const auto& s : {Sizes{1, 5, 3},
                            {3, 37, 70},
                            {13, 128, 65},
                            {16, 300, 129},
                            {32, 64, 8},
                            {11, 4133, 7},
                            {4, 70, 8},
                            {7, 33, 5},
                            {12, 2080, 6},
                            {33, 64, 9}}) {
        const std::string name =
            fmt::format("{} {}: {} rows, {} to {}", target, tensor::name_of(dtype), s.rows, s.in, s.out);
        const Tensor x = random_tensor({s.rows, s.in}, 1).to(dtype);
        const Tensor weight = random_tensor({s.out, s.in}, 2).to(DType::float32);
        const Tensor bias = random_tensor({s.out}, 3).to(DType::float32);
        const Tensor dy = random_tensor({s.rows, s.out}, 4).to(dtype);
        const Tensor x64 = x.to(DType::float64), dy64 = dy.to(DType::float64);
        const Tensor weight64 = weight.to(dtype).to(DType::float64);
        const Tolerance sums{1e-6, std::max(1e-5, 2e-8 * static_cast<double>(s.in))};
        const Tolerance result = dtype == DType::float32 ? sums : Tolerance{4e-3, sums.atol};
        expect_close(cpu::linear(x, weight, bias).to(DType::float64),
                     reference(x64, weight64, bias.to(DType::float64)), result, name);
        expect_close(cpu::linear_backward_x(dy, weight).to(DType::float64),
                     reference(dy64, transposed(weight64), {}), result, name);
        expect_close(cpu::linear_backward_weight(dy, x).to(DType::float64),
                     reference(transposed(dy64), transposed(x64), {}), sums, name);
      }
  });
}

// Rows of the weight are multiplied a few at a time, and ranges of them end anywhere.
TEST(Linear, FewRowsDoNotDependOnThreads) {
  const int before = cpu::num_threads();
  for (const DType type : {DType::float32, DType::bfloat16}) {
    const Tensor x = random_tensor({5, 1003}, 1).to(type);
    const Tensor weight = random_tensor({700, 1003}, 2).to(DType::float32);
    const Tensor grad_y = random_tensor({5, 700}, 3).to(type);
    const auto run = [&](int threads) {
      cpu::set_num_threads(threads);
      return std::array{cpu::linear(x, weight, {}), cpu::linear_backward_x(grad_y, weight),
                        cpu::linear_backward_weight(grad_y, x)};
    };
    const auto one = run(1);
    for (const int threads : {2, 7}) {
      const auto more = run(threads);
      for (std::size_t i = 0; i < one.size(); ++i) expect_same_bits(more[i], one[i]);
    }
  }
  cpu::set_num_threads(before);
}

TEST(Linear, FewRowsKeepNan) {
  const Tensor x = Tensor::full({2, 40}, 1, {DType::bfloat16, {}});
  Tensor weight = Tensor::full({3, 40}, 1);
  weight.data<float>()[40 + 7] = std::numeric_limits<float>::quiet_NaN();
  weight.data<float>()[80 + 39] = std::numeric_limits<float>::infinity();
  const auto y = cpu::linear(x, weight, {}).to_vector<double>();
  EXPECT_EQ(y[0], 40);
  EXPECT_TRUE(std::isnan(y[1]));
  EXPECT_EQ(y[2], std::numeric_limits<double>::infinity());
}

// A row's last vector ends with the row: the next one, of x or of the weight, is no number.
void expect_rows_to_end(DType type, std::int64_t in) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  Tensor x = Tensor::full({2, in}, 1);
  Tensor weight = Tensor::full({2, in}, 1);
  x.data<float>()[in] = weight.data<float>()[in] = nan;
  const auto y = cpu::linear(x.to(type), weight, {}).to_vector<double>();
  EXPECT_EQ(y[0], static_cast<double>(in));
  Tensor dy = Tensor::full({2, 1}, 1);
  dy.data<float>()[1] = nan;
  const std::vector<double> ones(static_cast<std::size_t>(in), 1);
  const auto dx = cpu::linear_backward_x(dy.to(type), weight.rows(0, 1)).to_vector<double>();
  EXPECT_EQ(std::vector<double>(dx.begin(), dx.begin() + in), ones);
  const Tensor two = Tensor::full({1, 2}, 1, {type, {}});
  const auto dw = cpu::linear_backward_weight(two, x.to(type).rows(0, 1)).to_vector<double>();
  EXPECT_EQ(std::vector<double>(dw.begin(), dw.begin() + in), ones);
  EXPECT_EQ(std::vector<double>(dw.begin() + in, dw.end()), ones);
}

TEST(Linear, FewRowsEndWhereTheyEnd) {
  const auto chosen = [] { return std::string(cpu::microkernel<float>().target); };
  test::on_every_vector_target(chosen, [](const std::string& target) {
    SCOPED_TRACE(target);
    for (const DType type : {DType::float32, DType::bfloat16})
      for (const std::int64_t in : {7, 24, 40}) expect_rows_to_end(type, in);
  });
}

TEST(Linear, Empty) {
  const Tensor weight = Tensor::zeros({5, 3});
  expect_close(cpu::linear(Tensor::empty({0, 3}), weight, Tensor::zeros({5})), Tensor::zeros({0, 5}));
  expect_close(cpu::linear_backward_weight(Tensor::empty({0, 5}), Tensor::empty({0, 3})),
               Tensor::zeros({5, 3}));
  expect_close(cpu::linear_backward_bias(Tensor::empty({0, 5})), Tensor::zeros({5}));
}

TEST(Linear, Errors) {
  const Tensor x = Tensor::zeros({2, 3}), weight = Tensor::zeros({5, 4});
  expect_error([&] { cpu::linear(x, weight, {}); }, {"linear", "4 features", "[2,3]", "[5,4]"});
  expect_error([&] { cpu::linear(x, Tensor::zeros({5, 3}), Tensor::zeros({4})); },
               {"linear", "bias", "[4]", "[5]"});
  expect_error([&] { cpu::linear(x, Tensor::zeros({3}), {}); }, {"linear", "weight", "[3]", "2 dimensions"});
  expect_error([&] { cpu::linear(Tensor::zeros({}), weight, {}); }, {"linear", "x is []"});
  expect_error([&] { cpu::linear(x, Tensor::zeros({5, 3}, {DType::float64, {}}), {}); },
               {"linear", "weight", "float64", "float32"});
  const Tensor wrong = Tensor::zeros({2, 2}, {DType::bfloat16, {}});
  expect_error([&] { cpu::linear(wrong, wrong, {}); }, {"linear", "weight", "float32", "bfloat16"});
  expect_error([&] { cpu::linear_backward_x(Tensor::zeros({2, 3}), weight); }, {"linear", "[2,3]", "[5,4]"});
  expect_error([&] { cpu::linear_backward_weight(Tensor::zeros({4, 5}), x); }, {"linear", "[4,5]", "[2,3]"});
  expect_error([&] { autograd::linear(x, Variable()); }, {"linear", "weight is undefined"});
}

}  // namespace
}  // namespace dcl::test
