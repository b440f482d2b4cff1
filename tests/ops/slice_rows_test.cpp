#include "tensor/ops/slice_rows.h"

#include "autograd/ops.h"
#include "tests/ops/op_table.h"

namespace dcl::test {
namespace {

struct Row {
  Shape x;
  std::int64_t begin, end;
};

TEST(SliceRows, ValuesAndGradients) {
  for (const auto& row : {Row{{4, 3}, 1, 3}, Row{{4, 3}, 0, 4}, Row{{4, 3}, 3, 4}, Row{{5}, 0, 2},
                          Row{{3, 1, 2}, 1, 2}, Row{{4, 3}, 2, 2}}) {
    const Tensor x = random_tensor(row.x, 1);
    const std::int64_t columns = x.numel() / x.size(0);
    const auto all = x.to_vector<double>();
    std::vector<std::int64_t> sizes = row.x.sizes();
    sizes[0] = row.end - row.begin;
    expect_same_bits(
        autograd::slice_rows(x, row.begin, row.end).value(),
        Tensor::from(std::vector<double>(all.begin() + row.begin * columns, all.begin() + row.end * columns),
                     Shape(sizes)));
    run_gradcheck("slice_rows", fmt::format("[{}, {}) of {}", row.begin, row.end, row.x.str()),
                  [&](const auto& in) { return autograd::slice_rows(in[0], row.begin, row.end); }, {x});
  }
}

TEST(SliceRows, OverlappingSlicesAddUp) {
  run_gradcheck("slice_rows", "overlapping",
                [](const auto& in) {
                  return autograd::mul(autograd::slice_rows(in[0], 0, 3), autograd::slice_rows(in[0], 1, 4));
                },
                {random_tensor({4, 2}, 2)});
}

TEST(SliceRows, Errors) {
  const Tensor x = Tensor::zeros({4, 3});
  expect_error([&] { autograd::slice_rows(x, 2, 5); }, {"slice_rows", "[4,3]", "[2, 5)"});
  expect_error([&] { autograd::slice_rows(x, -1, 2); }, {"slice_rows", "[4,3]", "[-1, 2)"});
  expect_error([&] { autograd::slice_rows(x, 3, 2); }, {"slice_rows", "[4,3]", "[3, 2)"});
  expect_error([&] { autograd::slice_rows(Tensor::zeros({}), 0, 0); }, {"slice_rows", "[]"});
  expect_error([&] { autograd::slice_rows(Variable(), 0, 0); }, {"slice_rows", "undefined"});
}

}  // namespace
}  // namespace dcl::test
