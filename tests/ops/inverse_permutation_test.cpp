#include "tensor/ops/inverse_permutation.h"

#include "tests/ops/op_table.h"

namespace dcl::tensor {
namespace {

Tensor order(const std::vector<std::int64_t>& values) {
  return Tensor::from(values, {static_cast<std::int64_t>(values.size())});
}

TEST(InversePermutation, UndoesThePermutation) {
  const std::vector<std::int64_t> values{2, 0, 4, 1, 3};
  const auto inverse = cpu::inverse_permutation(order(values)).to_vector<std::int64_t>();
  for (std::size_t i = 0; i < values.size(); ++i)
    EXPECT_EQ(inverse[static_cast<std::size_t>(values[i])], static_cast<std::int64_t>(i));
  EXPECT_EQ(cpu::inverse_permutation(order({})).numel(), 0);
}

TEST(InversePermutation, RefusesWhatIsNone) {
  test::expect_error([] { cpu::inverse_permutation(order({0, 0, 2})); },
                     {"inverse_permutation", "element 1 is 0"});
  test::expect_error([] { cpu::inverse_permutation(order({0, 3, 1})); },
                     {"inverse_permutation", "element 1 is 3"});
  test::expect_error([] { cpu::inverse_permutation(Tensor::zeros({3})); }, {"inverse_permutation", "int64"});
}

}  // namespace
}  // namespace dcl::tensor
