#include "tensor/ops/argmax.h"

#include <limits>

#include "tensor/cpu/threads.h"
#include "tests/ops/op_table.h"

namespace dcl::test {
namespace {

using tensor::DType;
namespace cpu = tensor::cpu;

TEST(Argmax, Values) {
  for (const Shape& shape : {Shape{7}, Shape{1}, Shape{3, 4}, Shape{2, 3, 1}, Shape{500, 333}}) {
    const Tensor x = distinct_tensor(shape, 1);
    std::vector<std::int64_t> expected;
    const auto values = x.to_vector<double>();
    for (auto row = values.begin(); row != values.end(); row += shape[-1])
      expected.push_back(std::max_element(row, row + shape[-1]) - row);
    std::vector<std::int64_t> sizes = shape.sizes();
    sizes.pop_back();
    expect_same_bits(cpu::argmax(x), Tensor::from(expected, Shape(sizes)), shape.str());
    expect_same_bits(cpu::argmax(x.to(DType::float32)), Tensor::from(expected, Shape(sizes)), shape.str());
  }
  EXPECT_EQ(cpu::argmax(Tensor::empty({0, 3})).shape(), Shape{0});
}

TEST(Argmax, TheFirstMaximumWins) {
  const Tensor x = Tensor::from(std::vector<float>{0, 2, 2, 1, -5, -5, -5, -5}, {2, 4});
  expect_same_bits(cpu::argmax(x), Tensor::from(std::vector<std::int64_t>{1, 0}, {2}));
}

TEST(Argmax, InfinitiesAndNaN) {
  const float inf = std::numeric_limits<float>::infinity();
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const Tensor x = Tensor::from(std::vector<float>{-inf, -inf, -inf, 0, inf, 1, inf, nan, nan}, {3, 3});
  expect_same_bits(cpu::argmax(x), Tensor::from(std::vector<std::int64_t>{0, 1, 1}, {3}));
}

TEST(Argmax, Errors) {
  expect_error([] { cpu::argmax(Tensor::zeros({2, 0})); }, {"argmax", "[2,0]"});
  expect_error([] { cpu::argmax(Tensor::zeros({})); }, {"argmax", "[]"});
  expect_error([] { cpu::argmax(Tensor()); }, {"argmax", "undefined"});
  expect_error([] { cpu::argmax(Tensor::zeros({2}, {DType::uint8, {}})); },
               {"argmax", "float32 or float64", "uint8"});
}

}  // namespace
}  // namespace dcl::test
