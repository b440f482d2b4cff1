#include "tensor/ops/cross_entropy.h"

#include <cmath>
#include <limits>

#include "autograd/ops.h"
#include "tensor/cpu/threads.h"
#include "tests/ops/op_table.h"

namespace dcl::test {
namespace {

using tensor::DType;
namespace cpu = tensor::cpu;

// −1/M Σ_i log( exp(logits[i, target]) / Σ_c exp(logits[i,c]) )
Tensor reference(const Tensor& logits, const Tensor& targets) {
  double loss = 0;
  const std::int64_t columns = logits.size(1);
  for (std::int64_t i = 0; i < logits.size(0); ++i) {
    const double* row = logits.data<double>() + i * columns;
    double sum = 0;
    for (std::int64_t c = 0; c < columns; ++c) sum += std::exp(row[c]);
    loss -= std::log(std::exp(row[targets.data<std::int64_t>()[i]]) / sum);
  }
  return Tensor::scalar(loss / static_cast<double>(logits.size(0)), logits.options());
}

TEST(CrossEntropy, ValuesAndGradients) {
  for (const Shape& shape : {Shape{4, 5}, Shape{1, 3}, Shape{3, 1}, Shape{7, 2}}) {
    const Tensor logits = random_tensor(shape, 1, {-4, 4});
    const Tensor targets = random_index({shape[0]}, shape[1], 2);
    expect_close(cpu::cross_entropy(logits, targets), reference(logits, targets), {1e-12, 1e-13},
                 shape.str());
    const auto loss = [&](const auto& in) { return autograd::cross_entropy(in[0], targets); };
    run_gradcheck("cross_entropy", shape.str(), loss, {logits});
    run_float_check("cross_entropy", shape.str(), loss, {logits});
  }
}

TEST(CrossEntropy, LargeAndThreaded) {
  const Tensor logits = random_tensor({200, 150}, 3, {-5, 5});
  const Tensor targets = random_index({200}, 150, 4);
  const int before = cpu::num_threads();
  cpu::set_num_threads(1);
  const Tensor one = cpu::cross_entropy(logits, targets);
  cpu::set_num_threads(3);
  const Tensor three = cpu::cross_entropy(logits, targets);
  cpu::set_num_threads(before);
  expect_close(one, reference(logits, targets), {1e-12, 0});
  expect_same_bits(three, one);
}

TEST(CrossEntropy, LogitsThatWouldOverflow) {
  const Tensor logits = Tensor::from(std::vector<float>{1000, 0, -1000, -1000}, {2, 2});
  const Tensor targets = Tensor::from(std::vector<std::int64_t>{1, 0}, {2});
  expect_close(cpu::cross_entropy(logits, targets), Tensor::scalar((1000 + std::log(2.0)) / 2), {1e-6, 0});
  const Tensor grad = cpu::cross_entropy_backward(Tensor::scalar(2), logits, targets);
  expect_close(grad, Tensor::from(std::vector<float>{1, -1, -0.5F, 0.5F}, {2, 2}), {1e-6, 1e-9});
}

TEST(CrossEntropy, NaNReachesTheLoss) {
  const Tensor logits = Tensor::from(std::vector<float>{0, std::nanf(""), 1, 2}, {2, 2});
  const Tensor targets = Tensor::from(std::vector<std::int64_t>{0, 0}, {2});
  EXPECT_TRUE(std::isnan(cpu::cross_entropy(logits, targets).item()));
}

TEST(CrossEntropy, Errors) {
  const Tensor logits = Tensor::zeros({2, 3});
  const auto targets = [](const std::vector<std::int64_t>& values) {
    const auto size = static_cast<std::int64_t>(values.size());
    return Tensor::from(values, {size});
  };
  expect_error([&] { cpu::cross_entropy(logits, targets({0, 3})); },
               {"cross_entropy", "targets[1] is 3", "[2,3]", "3 classes"});
  expect_error([&] { cpu::cross_entropy(logits, targets({-1, 0})); }, {"cross_entropy", "targets[0] is -1"});
  expect_error([&] { cpu::cross_entropy(logits, targets({0})); },
               {"cross_entropy", "targets is [1]", "[2,3]"});
  expect_error([&] { cpu::cross_entropy(logits, Tensor::zeros({2})); },
               {"cross_entropy", "targets", "float32", "int64"});
  expect_error([&] { cpu::cross_entropy(Tensor::zeros({3}), targets({0})); },
               {"cross_entropy", "logits", "[3]", "2 dimensions"});
  expect_error([&] { cpu::cross_entropy(Tensor::empty({0, 3}), targets({})); },
               {"cross_entropy", "[0,3]", "no rows"});
  expect_error([&] { cpu::cross_entropy(Tensor::zeros({2, 3}, {DType::bfloat16, {}}), targets({0, 0})); },
               {"cross_entropy", "float32 or float64", "bfloat16"});
  expect_error([&] { autograd::cross_entropy(Variable(), targets({0})); }, {"cross_entropy", "undefined"});
}

}  // namespace
}  // namespace dcl::test
