#include "tensor/ops/reduce.h"

#include <algorithm>
#include <cmath>

#include "autograd/ops.h"
#include "tensor/cpu/threads.h"
#include "tests/ops/op_table.h"

namespace dcl::test {
namespace {

using tensor::DType;
namespace cpu = tensor::cpu;

struct Row {
  Shape x;
  std::vector<int> dims;
  Shape out;  // without keep_dims
};

const std::vector<Row>& rows() {
  static const std::vector<Row> table{
      {{2, 3, 4}, {}, {}},
      {{2, 3, 4}, {0}, {3, 4}},
      {{2, 3, 4}, {1}, {2, 4}},
      {{2, 3, 4}, {2}, {2, 3}},
      {{2, 3, 4}, {-1}, {2, 3}},
      {{2, 3, 4}, {0, 2}, {3}},
      {{2, 3, 4}, {2, 0}, {3}},
      {{2, 3, 4}, {0, 1}, {4}},
      {{2, 3, 4}, {1, 2}, {2}},
      {{2, 3, 4, 2}, {0, 2}, {3, 2}},
      {{2, 3, 4, 2}, {1, 3}, {2, 4}},
      {{7}, {0}, {}},
      {{1, 5, 1}, {0, 2}, {5}},
      {{1, 5, 1}, {1}, {1, 1}},
      {{2, 1, 3}, {1}, {2, 3}},
      {{}, {}, {}},
      {{2, 1, 3}, {0, 1, 2}, {}},
  };
  return table;
}

std::string name(const Row& row) {
  std::string text = row.x.str() + " over";
  for (const int d : row.dims) text += fmt::format(" {}", d);
  return row.dims.empty() ? text + " all" : text;
}

// Adds every element into the output position it belongs to.
Tensor reference_sum(const Tensor& x, const std::vector<int>& dims, const Shape& out) {
  std::vector<bool> reduced(static_cast<std::size_t>(x.dim()), dims.empty());
  for (const int d : dims) reduced[static_cast<std::size_t>(d < 0 ? d + x.dim() : d)] = true;
  const auto& sizes = x.shape().sizes();
  const double* from = x.data<double>();
  Tensor y = Tensor::zeros(out, x.options());
  double* to = y.data<double>();
  for (std::int64_t i = 0; i < x.numel(); ++i) {
    std::int64_t at = 0, stride = 1, rest = i;
    for (std::size_t d = sizes.size(); d-- > 0;) {
      if (!reduced[d]) {
        at += rest % sizes[d] * stride;
        stride *= sizes[d];
      }
      rest /= sizes[d];
    }
    to[at] += from[i];
  }
  return y;
}

Shape kept(const Row& row) {
  std::vector<std::int64_t> sizes = row.x.sizes();
  if (row.dims.empty()) std::fill(sizes.begin(), sizes.end(), 1);
  for (const int d : row.dims) sizes[static_cast<std::size_t>(d < 0 ? d + row.x.dim() : d)] = 1;
  return Shape(sizes);
}

TEST(Reduce, Values) {
  for (const auto& row : rows()) {
    const Tensor x = random_tensor(row.x, 1);
    const Tensor sum = reference_sum(x, row.dims, row.out);
    Tensor mean = sum.clone();
    for (std::int64_t i = 0; i < mean.numel(); ++i)
      mean.data<double>()[i] *= static_cast<double>(mean.numel()) / static_cast<double>(x.numel());
    expect_close(cpu::sum(x, row.dims), sum, {1e-13, 1e-14}, name(row));
    expect_close(cpu::mean(x, row.dims), mean, {1e-13, 1e-14}, name(row));
    expect_close(cpu::sum(x, row.dims, true), sum.reshape(kept(row)), {1e-13, 1e-14}, name(row));
    expect_close(cpu::sum(x.to(DType::float32), row.dims), sum, {1e-6, 1e-6}, name(row));
  }
}

TEST(Reduce, Gradients) {
  for (const auto& row : rows())
    for (const bool keep : {false, true}) {
      const auto sum = [&](const auto& in) { return autograd::sum(in[0], row.dims, keep); };
      const auto mean = [&](const auto& in) { return autograd::mean(in[0], row.dims, keep); };
      run_gradcheck("sum", name(row), sum, {random_tensor(row.x, 2)});
      run_gradcheck("mean", name(row), mean, {random_tensor(row.x, 3)});
      run_float_check("mean", name(row), mean, {random_tensor(row.x, 3)});
    }
}

// The sizes cross the cuts of the work: 512 columns, 4096 rows, 64 parts.
TEST(Reduce, LargeValuesAndThreads) {
  const std::vector<Row> large{{{300000}, {0}, {}},
                               {{20000, 7}, {0}, {7}},
                               {{7, 20000}, {1}, {7}},
                               {{5, 1100}, {0}, {1100}},
                               {{8200, 513}, {0}, {513}},
                               {{3, 9001, 5}, {1}, {3, 5}},
                               {{100, 9, 11, 10}, {1, 3}, {100, 11}}};
  const int before = cpu::num_threads();
  for (const auto& row : large) {
    const Tensor x = random_tensor(row.x, 4);
    cpu::set_num_threads(1);
    const Tensor one = cpu::sum(x, row.dims);
    cpu::set_num_threads(3);
    const Tensor three = cpu::sum(x, row.dims);
    cpu::set_num_threads(before);
    expect_close(one, reference_sum(x, row.dims, row.out), {1e-12, 1e-10}, name(row));
    expect_same_bits(three, one, name(row));
  }
}

// A running float sum of 2^24 ones and more stops growing; here even half an ulp is right.
TEST(Reduce, FloatSumsAreRoundedOnce) {
  const Tensor ones = Tensor::full({(1 << 24) + 4}, 1.0);
  EXPECT_EQ(cpu::sum(ones).item(), (1 << 24) + 4);
  const Tensor x = random_tensor({5000, 3}, 5, {0, 1}).to(DType::float32);
  const Tensor exact = reference_sum(x.to(DType::float64), {0}, {3});
  expect_close(cpu::sum(x, {0}), exact.to(DType::float32), {0, 0});
}

TEST(Reduce, SumTo) {
  const Tensor x = random_tensor({2, 3, 4}, 6);
  expect_close(cpu::sum_to(x, {3, 4}), reference_sum(x, {0}, {3, 4}));
  expect_close(cpu::sum_to(x, {4}), reference_sum(x, {0, 1}, {4}));
  expect_close(cpu::sum_to(x, {1, 3, 1}), reference_sum(x, {0, 2}, {1, 3, 1}));
  expect_close(cpu::sum_to(x, {}), reference_sum(x, {}, {}));
  expect_same_bits(cpu::sum_to(x, {2, 3, 4}), x);
  expect_close(cpu::sum_to(Tensor::empty({0, 3}), {3}), Tensor::zeros({3}));
}

TEST(Reduce, Empty) {
  expect_close(cpu::sum(Tensor::empty({0, 3}), {0}), Tensor::zeros({3}));
  expect_close(cpu::sum(Tensor::empty({0, 3, 4}), {0, 2}), Tensor::zeros({3}));
  expect_close(cpu::sum(Tensor::empty({0, 3}), {1}), Tensor::zeros({0}));
  expect_close(cpu::sum(Tensor::empty({0})), Tensor::zeros({}));
  expect_error([] { cpu::mean(Tensor::empty({0, 3})); }, {"mean", "[0,3]", "no elements"});
}

TEST(Reduce, Errors) {
  const Tensor x = Tensor::zeros({2, 3});
  expect_error([&] { cpu::sum(x, {2}); }, {"sum", "dimension 2", "[2,3]"});
  expect_error([&] { cpu::mean(x, {-3}); }, {"mean", "dimension -3", "[2,3]"});
  expect_error([&] { cpu::sum(x, {1, -1}); }, {"sum", "dimension -1", "named twice"});
  expect_error([&] { cpu::sum_to(x, {2}); }, {"sum_to", "[2]", "[2,3]"});
  expect_error([&] { cpu::sum_to(x, {4, 2, 3}); }, {"sum_to", "[4,2,3]", "[2,3]"});
  expect_error([&] { cpu::sum_backward(Tensor::zeros({2}), {2, 3}, {0}); }, {"sum", "[2]", "[2,3]"});
  expect_error([&] { cpu::sum(Tensor::zeros({2}, {DType::int64, {}})); },
               {"sum", "float32 or float64", "int64"});
  expect_error([&] { autograd::mean(Variable()); }, {"mean", "x is undefined"});
}

}  // namespace
}  // namespace dcl::test
