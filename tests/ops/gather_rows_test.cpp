#include "tensor/ops/gather_rows.h"

#include "autograd/ops.h"
#include "tensor/cpu/threads.h"
#include "tests/ops/op_table.h"

namespace dcl::test {
namespace {

using tensor::DType;
namespace cpu = tensor::cpu;

Tensor index_of(const std::vector<std::int64_t>& numbers) {
  return Tensor::from(numbers, {static_cast<std::int64_t>(numbers.size())});
}

struct Row {
  const char* name;
  Shape x;
  std::vector<std::int64_t> index;
};

const std::vector<Row>& rows() {
  static const std::vector<Row> table{{"permutation", {4, 3}, {2, 0, 3, 1}},
                                      {"repeated", {3, 2}, {1, 1, 1, 0}},
                                      {"more than there are", {2, 2}, {0, 1, 0, 1, 0, 1, 1}},
                                      {"one", {5, 1}, {4}},
                                      {"pictures", {3, 2, 1, 2}, {2, 0, 2}},
                                      {"numbers", {4}, {3, 3, 0}},
                                      {"none", {4, 2}, {}}};
  return table;
}

TEST(GatherRows, ValuesAndGradients) {
  for (const auto& row : rows()) {
    const Tensor x = random_tensor(row.x, 1);
    const Tensor index = index_of(row.index);
    const Tensor y = cpu::gather_rows(x, index);
    ASSERT_EQ(y.size(0), index.numel());
    for (std::int64_t i = 0; i < index.numel(); ++i) {
      const std::int64_t r = row.index[static_cast<std::size_t>(i)];
      expect_same_bits(y.rows(i, i + 1).clone(), x.rows(r, r + 1).clone(), row.name);
    }
    const auto gather = [&](const auto& in) { return autograd::gather_rows(in[0], index); };
    run_gradcheck("gather_rows", row.name, gather, {x});
    run_float_check("gather_rows", row.name, gather, {x});
  }
}

TEST(GatherRows, LargeBackwardDoesNotDependOnThreads) {
  const Tensor grad_y = random_tensor({900, 67}, 2).to(DType::float32);
  const Tensor index = random_index({900}, 50, 3);
  Tensor expected = Tensor::zeros({50, 67}, {DType::float64, {}});
  for (std::int64_t i = 0; i < 900; ++i)
    for (std::int64_t c = 0; c < 67; ++c)
      expected.data<double>()[index.data<std::int64_t>()[i] * 67 + c] +=
          static_cast<double>(grad_y.data<float>()[i * 67 + c]);
  const int before = cpu::num_threads();
  cpu::set_num_threads(1);
  const Tensor one = cpu::gather_rows_backward(grad_y, index, {50, 67});
  cpu::set_num_threads(3);
  const Tensor three = cpu::gather_rows_backward(grad_y, index, {50, 67});
  const Tensor large = random_tensor({50, 4099}, 4);
  const Tensor gathered = cpu::gather_rows(large, index);
  cpu::set_num_threads(before);
  expect_close(one, expected, {1e-5, 1e-5});
  expect_same_bits(three, one);
  for (std::int64_t i = 0; i < 900; i += 89) {
    const std::int64_t r = index.data<std::int64_t>()[i];
    expect_same_bits(gathered.rows(i, i + 1).clone(), large.rows(r, r + 1).clone());
  }
}

TEST(GatherRows, OtherTypes) {
  const Tensor x = Tensor::from(std::vector<std::int64_t>{10, 11, 12}, {3});
  expect_same_bits(cpu::gather_rows(x, index_of({2, 0})), index_of({12, 10}));
}

TEST(GatherRows, Errors) {
  const Tensor x = Tensor::zeros({4, 3});
  expect_error([&] { cpu::gather_rows(x, index_of({0, 4})); },
               {"gather_rows", "index[1] is 4", "[4,3]", "4 rows"});
  expect_error([&] { cpu::gather_rows(x, index_of({-1})); }, {"gather_rows", "index[0] is -1", "[4,3]"});
  expect_error([&] { cpu::gather_rows(Tensor::empty({0, 3}), index_of({0})); },
               {"gather_rows", "index[0] is 0"});
  expect_error([&] { cpu::gather_rows(x, Tensor::zeros({2})); },
               {"gather_rows", "index", "float32", "int64"});
  expect_error([&] { cpu::gather_rows(x, Tensor::zeros({2, 1}, {DType::int64, {}})); },
               {"gather_rows", "index", "[2,1]", "1 dimension"});
  expect_error([&] { cpu::gather_rows(Tensor::zeros({}), index_of({0})); }, {"gather_rows", "scalar"});
  expect_error([&] { cpu::gather_rows_backward(Tensor::zeros({3, 3}), index_of({0, 1}), {4, 3}); },
               {"gather_rows", "grad_y", "[3,3]", "[2,3]"});
  expect_error([&] { autograd::gather_rows(Variable(), index_of({0})); }, {"gather_rows", "x is undefined"});
}

}  // namespace
}  // namespace dcl::test
