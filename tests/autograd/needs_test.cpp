// What goes with the needs to a backward function: the sum so far of an input's gradient.
#include <cmath>
#include <vector>

#include <gtest/gtest.h>

#include "autograd/node.h"
#include "autograd/ops.h"
#include "autograd/variable.h"
#include "tensor/ops/elementwise.h"

namespace dcl::autograd {
namespace {

Tensor number(double value) { return Tensor::full({1}, value, {tensor::DType::float64, {}}); }

// Gives 1 times its gradient to y, twice. With `take` it adds that to the sums so far, which it writes down,
// -1 where there is none.
Variable probe(const Variable& y, bool take, std::vector<double>& sums) {
  return record("probe", number(1), {y, y}, [take, &sums](const Tensor& grad, Needs& needs) {
    std::vector<Tensor> grads;
    for (const std::size_t i : {0, 1}) {
      const Tensor sum = take ? needs.take_sum(i) : Tensor();
      if (take) sums.push_back(sum.defined() ? sum.item() : -1);
      grads.push_back(sum.defined() ? tensor::cpu::add(sum, grad) : grad.clone());
    }
    return grads;
  });
}

// The node that was recorded last comes first. Of an input that is given twice the sum is offered once.
TEST(Needs, CarrySums) {
  for (const bool take : {true, false}) {
    const Variable x(number(2), true);
    const Variable y = exp(x);
    std::vector<double> sums;
    const Variable second = probe(y, take, sums);
    const Variable first = probe(y, false, sums);
    backward(add(first, second));
    EXPECT_EQ(sums, take ? (std::vector<double>{2, -1}) : std::vector<double>());
    EXPECT_DOUBLE_EQ(x.grad().item(), 4 * std::exp(2.0)) << take;
  }
}

TEST(Needs, CarryNoSumThatSomebodyElseHolds) {
  const Variable x(number(2), true);
  const Variable y = exp(x);
  const Tensor held = number(5);
  bool offered = true;
  const Variable second = record("second", number(1), {y}, [&](const Tensor&, Needs& needs) {
    offered = needs.take_sum(0).defined();
    return std::vector<Tensor>{number(3)};
  });
  const Variable first =
      record("first", number(1), {y}, [&](const Tensor&, Needs&) { return std::vector<Tensor>{held}; });
  backward(add(first, second));
  EXPECT_FALSE(offered);
  EXPECT_EQ(held.item(), 5);
  EXPECT_DOUBLE_EQ(x.grad().item(), 8 * std::exp(2.0));
}

}  // namespace
}  // namespace dcl::autograd
