#include "tensor/ops/linear.h"

#include "autograd/ops.h"
#include "tests/ops/op_table.h"

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
