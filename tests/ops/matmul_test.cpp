#include "tensor/ops/matmul.h"

#include "autograd/ops.h"
#include "tests/ops/op_table.h"

namespace dcl::test {
namespace {

using tensor::DType;
using tensor::MatmulParams;
namespace cpu = tensor::cpu;

struct Row {
  std::int64_t batch;  // 0: plain matrices
  std::int64_t m, k, n;
};

const std::vector<Row>& rows() {
  static const std::vector<Row> table{{0, 3, 4, 5}, {0, 1, 7, 1}, {0, 5, 1, 3}, {0, 1, 1, 1},
                                      {1, 2, 3, 4}, {2, 3, 5, 2}, {5, 2, 3, 1}};
  return table;
}

Shape shape(const Row& row, bool transposed, std::int64_t height, std::int64_t width) {
  if (transposed) std::swap(height, width);
  return row.batch == 0 ? Shape{height, width} : Shape{row.batch, height, width};
}

Tensor reference(const Tensor& a, const Tensor& b, const MatmulParams& p, const Row& row) {
  Tensor y = Tensor::zeros(shape(row, false, row.m, row.n), a.options());
  for (std::int64_t i = 0; i < std::max<std::int64_t>(row.batch, 1); ++i)
    for (std::int64_t r = 0; r < row.m; ++r)
      for (std::int64_t c = 0; c < row.n; ++c)
        for (std::int64_t k = 0; k < row.k; ++k) {
          const std::int64_t at_a = p.transpose_a ? k * row.m + r : r * row.k + k;
          const std::int64_t at_b = p.transpose_b ? c * row.k + k : k * row.n + c;
          y.data<double>()[(i * row.m + r) * row.n + c] +=
              a.data<double>()[i * row.m * row.k + at_a] * b.data<double>()[i * row.k * row.n + at_b];
        }
  return y;
}

void for_each_case(
    const std::vector<Row>& table,
    const std::function<void(const Row&, MatmulParams, Tensor a, Tensor b, std::string)>& body) {
  for (const auto& row : table)
    for (const bool transpose_a : {false, true})
      for (const bool transpose_b : {false, true}) {
        const Tensor a = random_tensor(shape(row, transpose_a, row.m, row.k), 1);
        const Tensor b = random_tensor(shape(row, transpose_b, row.k, row.n), 2);
        body(row, {transpose_a, transpose_b}, a, b,
             fmt::format("{}{} x {}{}", a.shape().str(), transpose_a ? "^T" : "", b.shape().str(),
                         transpose_b ? "^T" : ""));
      }
}

TEST(Matmul, Values) {
  auto table = rows();
  table.push_back({0, 70, 33, 65});
  table.push_back({0, 200, 3, 40});
  table.push_back({9, 33, 17, 12});
  for_each_case(table, [](const Row& row, MatmulParams params, const Tensor& a, const Tensor& b,
                          const std::string& what) {
    const Tensor expected = reference(a, b, params, row);
    expect_close(cpu::matmul(a, b, params), expected, {1e-12, 1e-13}, what);
    expect_close(cpu::matmul(a.to(DType::float32), b.to(DType::float32), params), expected, {1e-5, 1e-5},
                 what);
  });
}

TEST(Matmul, Gradients) {
  for_each_case(rows(), [](const Row&, MatmulParams params, Tensor a, Tensor b, const std::string& what) {
    const auto product = [&](const auto& in) { return autograd::matmul(in[0], in[1], params); };
    run_gradcheck("matmul", what, product, {a, b});
    run_float_check("matmul", what, product, {a, b});
    run_gradcheck("matmul", what + ", a only",
                  [&](const auto& in) { return autograd::matmul(in[0], b, params); }, {a});
    run_gradcheck("matmul", what + ", b only",
                  [&](const auto& in) { return autograd::matmul(a, in[0], params); }, {b});
  });
}

TEST(Matmul, Empty) {
  expect_close(cpu::matmul(Tensor::empty({2, 0}), Tensor::empty({0, 3})), Tensor::zeros({2, 3}));
  expect_close(cpu::matmul(Tensor::empty({0, 2}), Tensor::zeros({2, 3})), Tensor::zeros({0, 3}));
  expect_close(cpu::matmul(Tensor::empty({0, 2, 2}), Tensor::empty({0, 2, 3})), Tensor::zeros({0, 2, 3}));
}

TEST(Matmul, Errors) {
  const Tensor a = Tensor::zeros({2, 3});
  expect_error([&] { cpu::matmul(a, Tensor::zeros({4, 5})); }, {"matmul", "3 and 4", "[2,3]", "[4,5]"});
  expect_error([&] { cpu::matmul(a, Tensor::zeros({3, 5}), {.transpose_a = true}); },
               {"matmul", "2 and 3", "[2,3] transposed", "[3,5]"});
  expect_error([&] { cpu::matmul(a, Tensor::zeros({2, 3, 5})); }, {"matmul", "[2,3]", "[2,3,5]"});
  expect_error([&] { cpu::matmul(a, Tensor::zeros({3})); }, {"matmul", "[2,3]", "[3]"});
  expect_error([&] { cpu::matmul(Tensor::zeros({2, 2, 3}), Tensor::zeros({3, 3, 5})); },
               {"matmul", "batch of 2", "[2,2,3]", "[3,3,5]"});
  expect_error([&] { cpu::matmul(a, Tensor::zeros({3, 5}, {DType::float64, {}})); },
               {"matmul", "float32 [2,3]", "float64 [3,5]"});
  const Tensor wrong = Tensor::zeros({2, 2}, {DType::bfloat16, {}});
  expect_error([&] { cpu::matmul(wrong, wrong); }, {"matmul", "float32 or float64", "bfloat16"});
  expect_error([&] { autograd::matmul(a, Variable()); }, {"matmul", "b is undefined"});
}

}  // namespace
}  // namespace dcl::test
