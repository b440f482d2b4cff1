#include "tensor/ops/elementwise.h"

#include <cmath>
#include <functional>
#include <limits>

#include "autograd/ops.h"
#include "tensor/cpu/threads.h"
#include "tests/ops/op_table.h"

namespace dcl::test {
namespace {

using tensor::BinaryOp;
using tensor::DType;
using tensor::UnaryOp;
namespace cpu = tensor::cpu;

Function one(Variable (*op)(const Variable&)) {
  return [op](const std::vector<Variable>& in) { return op(in[0]); };
}
Function two(Variable (*op)(const Variable&, const Variable&)) {
  return [op](const std::vector<Variable>& in) { return op(in[0], in[1]); };
}

// Puts the number of threads back when the test ends.
struct Threads {
  explicit Threads(int count) { cpu::set_num_threads(count); }
  ~Threads() { cpu::set_num_threads(before); }
  int before = cpu::num_threads();
};

struct UnaryRow {
  UnaryOp op;
  Range range;
  std::function<double(double)> value;
};

const std::vector<UnaryRow>& unary_rows() {
  static const std::vector<UnaryRow> rows{
      {UnaryOp::neg, {-2, 2}, [](double x) { return -x; }},
      {UnaryOp::exp, {-3, 3}, [](double x) { return std::exp(x); }},
      {UnaryOp::log, {0.1, 3}, [](double x) { return std::log(x); }},
      {UnaryOp::sqrt, {0.1, 3}, [](double x) { return std::pow(x, 0.5); }},
      {UnaryOp::tanh, {-3, 3}, [](double x) { return 1 - 2 / (std::exp(2 * x) + 1); }},
      {UnaryOp::sigmoid, {-3, 3}, [](double x) { return 0.5 * (1 + std::tanh(x / 2)); }},
      {UnaryOp::relu, {-2, 2}, [](double x) { return x > 0 ? x : 0.0; }},
  };
  return rows;
}

TEST(Elementwise, UnaryValues) {
  const Threads threads(3);
  for (const auto& row : unary_rows())
    for (const Shape& shape : {Shape{}, Shape{0}, Shape{5}, Shape{3, 1, 7}, Shape{301, 401}}) {
      const Tensor x = random_tensor(shape, 1, row.range);
      Tensor expected = empty_like(x);
      for (std::int64_t i = 0; i < x.numel(); ++i)
        expected.data<double>()[i] = row.value(x.data<double>()[i]);
      expect_close(cpu::unary(row.op, x), expected, {1e-12, 1e-14}, name_of(row.op));
      expect_close(cpu::unary(row.op, x.to(DType::float32)), expected, {1e-6, 1e-6}, name_of(row.op));
    }
}

TEST(Elementwise, UnaryGradients) {
  for (const Shape& shape : {Shape{}, Shape{1}, Shape{9}, Shape{2, 1, 5}}) {
    const std::string row = shape.str();
    const Tensor any = random_tensor(shape, 2, {-3, 3});
    const Tensor positive = random_tensor(shape, 3, {0.1, 3});
    run_gradcheck("neg", row, one(autograd::neg), {any});
    run_gradcheck("exp", row, one(autograd::exp), {any});
    run_gradcheck("log", row, one(autograd::log), {positive});
    run_gradcheck("sqrt", row, one(autograd::sqrt), {positive});
    run_gradcheck("tanh", row, one(autograd::tanh), {any});
    run_gradcheck("sigmoid", row, one(autograd::sigmoid), {any});
    run_gradcheck("relu", row, one(autograd::relu), {distinct_tensor(shape, 4)});
    run_float_check("exp", row, one(autograd::exp), {any});
    run_float_check("sigmoid", row, one(autograd::sigmoid), {any});
    run_float_check("relu", row, one(autograd::relu), {distinct_tensor(shape, 4)});
  }
}

TEST(Elementwise, ExtremesOfUnaryOps) {
  const double inf = std::numeric_limits<double>::infinity();
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const Tensor x = Tensor::from(std::vector<double>{-1e4, 1e4, -inf, inf, nan}, {5});
  expect_close(cpu::unary(UnaryOp::sigmoid, x), Tensor::from(std::vector<double>{0, 1, 0, 1, nan}, {5}));
  expect_close(cpu::unary(UnaryOp::tanh, x), Tensor::from(std::vector<double>{-1, 1, -1, 1, nan}, {5}));
  const Tensor y = Tensor::from(std::vector<double>{0, 1e4, 0, inf, nan}, {5});
  expect_close(cpu::unary(UnaryOp::relu, x), y);
  const Tensor grad = Tensor::full({5}, inf, x.options());
  expect_close(cpu::unary_backward(UnaryOp::relu, y, grad),
               Tensor::from(std::vector<double>{0, inf, 0, inf, inf}, {5}));
}

struct BinaryRow {
  const char* name;
  Shape a;
  Shape b;
};

const std::vector<BinaryRow>& binary_rows() {
  static const std::vector<BinaryRow> rows{
      {"same shape", {2, 3, 4}, {2, 3, 4}},
      {"scalar on the right", {2, 3}, {}},
      {"scalar on the left", {}, {5}},
      {"one element", {1}, {3, 2}},
      {"last dimension", {2, 3, 4}, {4}},
      {"column", {3, 4}, {3, 1}},
      {"middle", {2, 3, 4}, {2, 1, 4}},
      {"crosswise", {5, 1}, {1, 6}},
      {"alternating", {2, 1, 4, 1}, {3, 1, 5}},
      {"all ones", {1, 1}, {1}},
      {"first dimension only", {3, 2, 2}, {3, 1, 1}},
  };
  return rows;
}

// x copied out to the broadcast shape, element by element, by the definition.
std::vector<double> stretched(const Tensor& x, const Shape& out) {
  std::vector<double> values(static_cast<std::size_t>(out.numel()));
  const std::vector<std::int64_t> sizes = x.shape().sizes();
  for (std::size_t i = 0; i < values.size(); ++i) {
    auto rest = static_cast<std::int64_t>(i);
    std::int64_t at = 0, stride = 1;
    auto size = sizes.rbegin();
    for (auto out_size = out.sizes().rbegin(); out_size != out.sizes().rend() && size != sizes.rend();
         rest /= *out_size++, stride *= *size++)
      if (*size != 1) at += rest % *out_size * stride;
    values[i] = x.data<double>()[at];
  }
  return values;
}

double apply(BinaryOp op, double a, double b) {
  switch (op) {
    case BinaryOp::add:
      return a + b;
    case BinaryOp::sub:
      return a - b;
    case BinaryOp::mul:
      return a * b;
    case BinaryOp::div:
      return a / b;
  }
  return 0;
}

void check_binary_values(const Shape& shape_a, const Shape& shape_b) {
  const Tensor a = random_tensor(shape_a, 5);
  const Tensor b = random_tensor(shape_b, 6, {0.5, 2});
  const Shape out = broadcast_shapes(shape_a, shape_b, "test");
  const auto values_a = stretched(a, out), values_b = stretched(b, out);
  for (const auto op : {BinaryOp::add, BinaryOp::sub, BinaryOp::mul, BinaryOp::div}) {
    std::vector<double> values(values_a.size());
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = apply(op, values_a[i], values_b[i]);
    const Tensor expected = Tensor::from(values, out);
    const std::string what = fmt::format("{} of {} and {}", name_of(op), shape_a.str(), shape_b.str());
    expect_close(cpu::binary(op, a, b), expected, {}, what);
    expect_close(cpu::binary(op, a.to(DType::float32), b.to(DType::float32)), expected, {1e-6, 1e-6}, what);
  }
}

TEST(Elementwise, BinaryValues) {
  for (const auto& row : binary_rows()) check_binary_values(row.a, row.b);
  check_binary_values({0, 3}, {3});
  check_binary_values({0}, {});
}

// Large enough to be shared out over threads, which then begin in the middle of rows.
TEST(Elementwise, BinaryValuesOverThreads) {
  const Threads threads(3);
  check_binary_values({333, 307}, {333, 307});
  check_binary_values({333, 307}, {307});
  check_binary_values({333, 307}, {333, 1});
  check_binary_values({41, 1, 63}, {1, 43, 1});
  check_binary_values({}, {100003});
}

TEST(Elementwise, BinaryGradients) {
  for (const auto& row : binary_rows()) {
    const std::vector<Tensor> inputs{random_tensor(row.a, 7), random_tensor(row.b, 8, {0.5, 2})};
    run_gradcheck("add", row.name, two(autograd::add), inputs);
    run_gradcheck("sub", row.name, two(autograd::sub), inputs);
    run_gradcheck("mul", row.name, two(autograd::mul), inputs);
    run_gradcheck("div", row.name, two(autograd::div), inputs);
    run_float_check("mul", row.name, two(autograd::mul), inputs);
    run_float_check("div", row.name, two(autograd::div), inputs);
  }
}

TEST(Elementwise, SameOperandTwice) {
  const Tensor x = random_tensor({4, 3}, 9, {0.5, 2});
  run_gradcheck("add", "x + x", [](const auto& in) { return autograd::add(in[0], in[0]); }, {x});
  run_gradcheck("mul", "x x", [](const auto& in) { return autograd::mul(in[0], in[0]); }, {x});
  run_gradcheck("div", "x / x", [](const auto& in) { return autograd::div(in[0], in[0]); }, {x});
}

TEST(Elementwise, BackwardOfEachOperandAlone) {
  const Tensor a = random_tensor({3, 4}, 10);
  const Tensor b = random_tensor({4}, 11, {0.5, 2});
  run_gradcheck("div", "a only", [&](const auto& in) { return autograd::div(in[0], b); }, {a});
  run_gradcheck("div", "b only", [&](const auto& in) { return autograd::div(a, in[0]); }, {b});
  run_gradcheck("sub", "b only", [&](const auto& in) { return autograd::sub(a, in[0]); }, {b});
}

// add and sub have short cuts in autograd; the plain gradients must agree with them.
TEST(Elementwise, PlainGradientsOfAddAndSub) {
  const Tensor a = random_tensor({2, 3}, 12), b = random_tensor({3}, 13), grad = random_tensor({2, 3}, 14);
  expect_same_bits(cpu::binary_backward_a(BinaryOp::add, a, b, grad), grad);
  expect_same_bits(cpu::binary_backward_b(BinaryOp::add, a, b, grad), grad);
  expect_same_bits(cpu::binary_backward_a(BinaryOp::sub, a, b, grad), grad);
  expect_same_bits(cpu::binary_backward_b(BinaryOp::sub, a, b, grad), cpu::unary(UnaryOp::neg, grad));
}

TEST(Elementwise, AddInplace) {
  for (const auto type : {DType::float32, DType::float64}) {
    const Tensor a = random_tensor({211, 331}, 15).to(type), b = random_tensor({211, 331}, 16).to(type);
    Tensor sum = a.clone();
    cpu::add_inplace(sum, b);
    expect_same_bits(sum, cpu::add(a, b));
  }
  Tensor nothing = Tensor::empty({0});
  cpu::add_inplace(nothing, Tensor::empty({0}));
}

TEST(Elementwise, ScaleAndExpand) {
  const Tensor x = Tensor::from(std::vector<double>{1, -2, 3}, {3, 1});
  expect_close(cpu::scale(x, -0.5), Tensor::from(std::vector<double>{-0.5, 1, -1.5}, {3, 1}));
  expect_close(cpu::expand(x, {2, 3, 2}),
               Tensor::from(std::vector<double>{1, 1, -2, -2, 3, 3, 1, 1, -2, -2, 3, 3}, {2, 3, 2}));
  expect_close(cpu::expand(x.rows(0, 1), {0, 4}), Tensor::empty({0, 4}, x.options()));
}

TEST(Elementwise, Errors) {
  const Tensor a = Tensor::zeros({2, 3});
  expect_error([&] { cpu::add(a, Tensor::zeros({2, 4})); }, {"add", "[2,3]", "[2,4]"});
  expect_error([&] { cpu::mul(a, Tensor::zeros({2, 3}, {DType::float64, {}})); },
               {"mul", "float32 [2,3]", "float64 [2,3]"});
  expect_error([&] { cpu::div(Tensor(), a); }, {"div", "a is undefined"});
  expect_error([&] { autograd::sub(a, Variable()); }, {"sub", "b is undefined"});
  expect_error([&] { autograd::exp(Variable()); }, {"exp", "x is undefined"});
  Tensor into = a.clone();
  expect_error([&] { cpu::add_inplace(into, Tensor::zeros({3})); }, {"add_inplace", "[3]", "[2,3]"});
  expect_error([&] { cpu::expand(a, {3}); }, {"expand", "[2,3]", "[3]"});
  expect_error([&] { cpu::expand(Tensor::zeros({4}), {2, 3}); }, {"expand", "[4]", "[2,3]"});
  for (const auto type : {DType::bfloat16, DType::int64, DType::uint8}) {
    const Tensor wrong = Tensor::zeros({2}, {type, {}});
    if (type != DType::bfloat16) {
      constexpr const char* kExpected = "float32, float64 or bfloat16";
      expect_error([&] { cpu::unary(UnaryOp::relu, wrong); }, {"relu", kExpected, name_of(type)});
      expect_error([&] { cpu::add(wrong, wrong); }, {"add", kExpected, name_of(type)});
    }
    expect_error([&] { cpu::scale(wrong, 2); }, {"scale", "float32 or float64", name_of(type)});
  }
}

}  // namespace
}  // namespace dcl::test
