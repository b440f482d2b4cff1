#include "tensor/ops/softmax.h"

#include <cmath>
#include <limits>

#include "autograd/ops.h"
#include "tensor/cpu/threads.h"
#include "tests/ops/op_table.h"

namespace dcl::test {
namespace {

using tensor::DType;
namespace cpu = tensor::cpu;

// exp(x) / Σ exp(x), without any shift.
Tensor reference(const Tensor& x) {
  Tensor y = empty_like(x);
  const std::int64_t columns = x.size(-1);
  for (std::int64_t row = 0; row < x.numel(); row += columns) {
    double sum = 0;
    for (std::int64_t c = 0; c < columns; ++c) sum += std::exp(x.data<double>()[row + c]);
    for (std::int64_t c = 0; c < columns; ++c)
      y.data<double>()[row + c] = std::exp(x.data<double>()[row + c]) / sum;
  }
  return y;
}

Tensor logarithm(Tensor x) {
  for (std::int64_t i = 0; i < x.numel(); ++i) x.data<double>()[i] = std::log(x.data<double>()[i]);
  return x;
}

TEST(Softmax, ValuesAndGradients) {
  for (const Shape& shape : {Shape{3, 5}, Shape{6}, Shape{2, 2, 3}, Shape{4, 1}}) {
    const std::string row = shape.str();
    const Tensor x = random_tensor(shape, 1, {-4, 4});
    expect_close(cpu::softmax(x), reference(x), {1e-12, 1e-14}, row);
    expect_close(cpu::log_softmax(x), logarithm(reference(x)), {1e-12, 1e-13}, row);
    const auto softmax = [](const auto& in) { return autograd::softmax(in[0]); };
    const auto log_softmax = [](const auto& in) { return autograd::log_softmax(in[0]); };
    run_gradcheck("softmax", row, softmax, {x});
    run_gradcheck("log_softmax", row, log_softmax, {x});
    run_float_check("softmax", row, softmax, {x});
    run_float_check("log_softmax", row, log_softmax, {x});
  }
}

TEST(Softmax, LargeAndThreaded) {
  const Tensor x = random_tensor({300, 70}, 2, {-9, 9});
  const int before = cpu::num_threads();
  cpu::set_num_threads(3);
  expect_close(cpu::softmax(x), reference(x), {1e-12, 1e-14});
  expect_close(cpu::log_softmax(x.to(DType::float32)), logarithm(reference(x)), {1e-5, 1e-5});
  cpu::set_num_threads(before);
}

TEST(Softmax, LogitsThatWouldOverflow) {
  const Tensor x = Tensor::from(std::vector<float>{1000, 1000, -1000, -1000}, {2, 2});
  expect_close(cpu::softmax(x), Tensor::full({2, 2}, 0.5), {1e-6, 0});
  expect_close(cpu::log_softmax(x), Tensor::full({2, 2}, -std::log(2.0)), {1e-6, 0});
  const float inf = std::numeric_limits<float>::infinity();
  const Tensor masked = Tensor::from(std::vector<float>{0, -inf, 0}, {1, 3});
  expect_close(cpu::softmax(masked), Tensor::from(std::vector<float>{0.5F, 0, 0.5F}, {1, 3}), {1e-6, 0});
  const Tensor broken = Tensor::from(std::vector<float>{0, std::nanf(""), 0}, {1, 3});
  const Tensor all_nan = Tensor::full({1, 3}, std::nan(""));
  expect_close(cpu::softmax(broken), all_nan);
  expect_close(cpu::log_softmax(broken), all_nan);
  expect_close(cpu::softmax(Tensor::full({1, 3}, -std::numeric_limits<double>::infinity())), all_nan);
}

TEST(Softmax, EmptyAndErrors) {
  expect_close(cpu::softmax(Tensor::empty({0, 3})), Tensor::empty({0, 3}));
  expect_close(cpu::log_softmax(Tensor::empty({3, 0})), Tensor::empty({3, 0}));
  const Tensor wrong = Tensor::zeros({2}, {DType::int64, {}});
  expect_error([&] { cpu::softmax(wrong); }, {"softmax", "float32 or float64", "int64"});
  expect_error([&] { cpu::log_softmax(wrong); }, {"log_softmax", "float32 or float64", "int64"});
  expect_error([&] { cpu::softmax(Tensor::zeros({})); }, {"softmax", "[]"});
  expect_error([&] { cpu::softmax_backward(Tensor::zeros({2}), Tensor::zeros({3})); },
               {"softmax", "grad_y", "[2]", "[3]"});
  expect_error([&] { cpu::log_softmax_backward(Tensor::zeros({2}), Tensor::zeros({3})); },
               {"log_softmax", "grad_y", "[2]", "[3]"});
  expect_error([&] { autograd::softmax(Variable()); }, {"softmax", "undefined"});
  expect_error([&] { autograd::log_softmax(Variable()); }, {"log_softmax", "undefined"});
}

}  // namespace
}  // namespace dcl::test
