#include "tensor/ops/normalize.h"

#include <algorithm>
#include <cmath>

#include "autograd/ops.h"
#include "tensor/cpu/threads.h"
#include "tests/ops/op_table.h"

namespace dcl::test {
namespace {

using tensor::DType;
namespace cpu = tensor::cpu;

Tensor reference(const Tensor& x, double eps) {
  Tensor y = empty_like(x);
  const std::int64_t columns = x.size(-1);
  for (std::int64_t row = 0; row < x.numel(); row += columns) {
    double square = 0;
    for (std::int64_t c = 0; c < columns; ++c) square += std::pow(x.data<double>()[row + c], 2);
    for (std::int64_t c = 0; c < columns; ++c)
      y.data<double>()[row + c] = x.data<double>()[row + c] / std::max(std::sqrt(square), eps);
  }
  return y;
}

struct Row {
  const char* name;
  Shape x;
  Range range;
  double eps;
};

const std::vector<Row>& rows() {
  static const std::vector<Row> table{{"rows", {3, 5}, {-1, 1}, 1e-12},
                                      {"one row", {7}, {-1, 1}, 1e-12},
                                      {"pictures", {2, 1, 2, 4}, {-3, 3}, 1e-12},
                                      {"one column", {4, 1}, {0.5, 2}, 1e-12},
                                      {"all rows shorter than eps", {3, 4}, {-0.01, 0.01}, 0.5},
                                      {"some rows shorter than eps", {6, 2}, {-1, 1}, 0.8}};
  return table;
}

TEST(Normalize, ValuesAndGradients) {
  for (const auto& row : rows()) {
    const Tensor x = random_tensor(row.x, 1, row.range);
    expect_close(cpu::normalize(x, row.eps), reference(x, row.eps), {1e-13, 1e-14}, row.name);
    const auto normalize = [&](const auto& in) { return autograd::normalize(in[0], row.eps); };
    run_gradcheck("normalize", row.name, normalize, {x});
    run_float_check("normalize", row.name, normalize, {x});
  }
}

// "some rows shorter than eps" has to hold both kinds for its gradient check to mean anything.
TEST(Normalize, TheTableMeetsBothSidesOfTheClamp) {
  const Row& row = rows().back();
  const auto y = cpu::normalize(random_tensor(row.x, 1, row.range), row.eps).to_vector<double>();
  int unit = 0;
  for (std::size_t i = 0; i < y.size(); i += 2)
    unit += std::abs(std::hypot(y[i], y[i + 1]) - 1) < 1e-9 ? 1 : 0;
  EXPECT_GT(unit, 0);
  EXPECT_LT(unit, 6);
}

TEST(Normalize, ZeroRowsStayZero) {
  Variable x(Tensor::zeros({2, 3}), true);
  const Variable y = autograd::normalize(x);
  expect_same_bits(y.value(), Tensor::zeros({2, 3}));
  backward(y, Tensor::full({2, 3}, 2.0));
  expect_close(x.grad(), Tensor::full({2, 3}, 2e12), {1e-6, 0});
}

TEST(Normalize, LargeAndThreaded) {
  const Tensor x = random_tensor({1000, 128}, 2);
  const int before = cpu::num_threads();
  cpu::set_num_threads(3);
  expect_close(cpu::normalize(x), reference(x, 1e-12), {1e-12, 1e-14});
  cpu::set_num_threads(before);
  // Squares of these overflow a float.
  const Tensor huge = Tensor::full({1, 4}, 1e30);
  expect_close(cpu::normalize(huge), Tensor::full({1, 4}, 0.5), {1e-6, 0});
}

TEST(Normalize, EmptyAndErrors) {
  expect_close(cpu::normalize(Tensor::empty({0, 3})), Tensor::empty({0, 3}));
  expect_close(cpu::normalize(Tensor::empty({3, 0})), Tensor::empty({3, 0}));
  const Tensor x = Tensor::zeros({2, 3});
  expect_error([&] { cpu::normalize(x, 0); }, {"normalize", "eps is 0"});
  expect_error([&] { cpu::normalize(x, std::nan("")); }, {"normalize", "eps is nan"});
  expect_error([&] { cpu::normalize(Tensor::zeros({})); }, {"normalize", "[]"});
  expect_error([&] { cpu::normalize_backward(Tensor::zeros({3}), x, 1e-12); },
               {"normalize", "grad_y", "[3]", "[2,3]"});
  expect_error([&] { cpu::normalize(Tensor::zeros({2}, {DType::bfloat16, {}})); },
               {"normalize", "float32 or float64", "bfloat16"});
  expect_error([&] { autograd::normalize(Variable()); }, {"normalize", "undefined"});
}

}  // namespace
}  // namespace dcl::test
