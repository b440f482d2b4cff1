#include "tensor/ops/concat.h"

#include "autograd/ops.h"
#include "tests/ops/op_table.h"

namespace dcl::test {
namespace {

using tensor::DType;
namespace cpu = tensor::cpu;

TEST(Concat, ValuesAndGradients) {
  const std::vector<std::vector<Shape>> rows{
      {{2, 3}}, {{2, 3}, {1, 3}}, {{1}, {3}, {2}}, {{2, 1, 2}, {0, 1, 2}, {3, 1, 2}}};
  for (const auto& row : rows) {
    std::vector<Tensor> parts;
    std::vector<double> expected;
    for (const auto& shape : row) {
      parts.push_back(random_tensor(shape, parts.size()));
      for (const double value : parts.back().to_vector<double>()) expected.push_back(value);
    }
    const Tensor y = cpu::concat(parts);
    std::vector<std::int64_t> sizes = row[0].sizes();
    sizes[0] = 0;
    for (const auto& shape : row) sizes[0] += shape[0];
    expect_same_bits(y, Tensor::from(expected, Shape(sizes)));
    const std::string name = fmt::format("{} parts to {}", parts.size(), y.shape().str());
    run_gradcheck("concat", name, [](const auto& in) { return autograd::concat(in); }, parts);
  }
}

TEST(Concat, SamePartTwice) {
  run_gradcheck("concat", "x and x", [](const auto& in) { return autograd::concat({in[0], in[0]}); },
                {random_tensor({2, 3}, 4)});
}

TEST(Concat, OtherTypes) {
  const Tensor a = Tensor::from(std::vector<std::int64_t>{1, 2}, {2});
  const Tensor b = Tensor::from(std::vector<std::int64_t>{3}, {1});
  expect_same_bits(cpu::concat({a, b}), Tensor::from(std::vector<std::int64_t>{1, 2, 3}, {3}));
}

TEST(Concat, Errors) {
  const Tensor a = Tensor::zeros({2, 3});
  expect_error([] { cpu::concat({}); }, {"concat", "no parts"});
  expect_error([] { autograd::concat({}); }, {"concat", "no parts"});
  expect_error([&] { cpu::concat({a, Tensor::zeros({2, 4})}); }, {"concat", "part 1", "[2,4]", "[2,3]"});
  expect_error([&] { cpu::concat({a, Tensor::zeros({3})}); }, {"concat", "part 1", "[3]", "[2,3]"});
  expect_error([&] { cpu::concat({a, Tensor::zeros({2, 3}, {DType::float64, {}})}); },
               {"concat", "part 1", "float64 [2,3]", "float32 [2,3]"});
  expect_error([&] { cpu::concat({a, Tensor::zeros({})}); }, {"concat", "part 1", "scalar"});
  expect_error([&] { autograd::concat({a, Variable()}); }, {"concat", "part 1", "undefined"});
}

}  // namespace
}  // namespace dcl::test
