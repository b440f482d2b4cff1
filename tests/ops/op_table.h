// What every op test shares: random inputs, comparisons, and the gradient check that a table row runs.
//
//   for (const auto& row : rows)
//     run_gradcheck("max_pool2d", row.name, [&](const auto& in) { return max_pool2d(in[0], row.params); },
//     {x});
//
// coverage_test.cpp looks for `run_gradcheck("NAME"` in the sources of these tests, so the name is a literal.
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <source_location>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "autograd/variable.h"
#include "tensor/tensor.h"

namespace dcl::test {

using autograd::Variable;
using std::source_location;
using tensor::Shape;
using tensor::Tensor;

struct Range {
  double low = -1;
  double high = 1;
};

/// float64, uniform in [low, high). Another seed gives other numbers; the same seed always the same.
Tensor random_tensor(Shape shape, std::uint64_t seed = 0, Range range = {});
/// int64, uniform in [0, bound).
Tensor random_index(Shape shape, std::int64_t bound, std::uint64_t seed = 0);
/// float64, all values at least 0.01 apart and none near 0, in random order: for ops with kinks or maxima,
/// whose differences are wrong when a step of 1e-6 changes the winner.
Tensor distinct_tensor(Shape shape, std::uint64_t seed = 0);

/// Equal when |actual - expected| <= atol + rtol |expected|; NaN equals NaN only.
struct Tolerance {
  double rtol = 1e-10;
  double atol = 1e-12;
};

/// Fails the test, naming `what` and the worst element, unless the shapes are equal and all values close. The
/// types may differ: values are compared as doubles.
void expect_close(const Tensor& actual, const Tensor& expected, Tolerance tolerance = {},
                  std::string_view what = "values", source_location where = source_location::current());

/// Fails unless shapes, types and all bits are equal.
void expect_same_bits(const Tensor& actual, const Tensor& expected, std::string_view what = "values",
                      source_location where = source_location::current());

/// Fails unless `call` throws dcl::Error with one line that contains each of `parts`.
void expect_error(const std::function<void()>& call, std::initializer_list<std::string_view> parts,
                  source_location where = source_location::current());

using Function = std::function<Variable(const std::vector<Variable>&)>;

/// Gradient check in double at step 1e-6, atol 1e-6, rtol 1e-4. `op` is the function's name in
/// autograd/ops.h, `row` the row of the test's table.
void run_gradcheck(const char* op, const std::string& row, const Function& function,
                   const std::vector<Tensor>& inputs, source_location where = source_location::current());

/// Runs `function` forward and backward on float32 copies of the float64 `inputs` and compares its values and
/// all gradients with those of float64: for kernels whose two types take different paths.
void run_float_check(const char* op, const std::string& row, const Function& function,
                     const std::vector<Tensor>& inputs, Tolerance tolerance = {1e-5, 1e-5},
                     source_location where = source_location::current());

}  // namespace dcl::test
