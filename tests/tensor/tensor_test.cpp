#include "tensor/tensor.h"

#include <cstdint>
#include <limits>
#include <numeric>
#include <string>

#include <gtest/gtest.h>

#include "tests/ops/op_table.h"

namespace dcl::tensor {
namespace {

using dcl::test::expect_error;

Tensor counting(Shape shape) {
  std::vector<float> values(static_cast<std::size_t>(shape.numel()));
  std::iota(values.begin(), values.end(), 0.0F);
  return Tensor::from(values, std::move(shape));
}

TEST(Shape, KnowsItsSizes) {
  const Shape shape{8, 224, 223, 3};
  EXPECT_EQ(shape.dim(), 4);
  EXPECT_EQ(shape.numel(), 8 * 224 * 223 * 3);
  EXPECT_EQ(shape[1], 224);
  EXPECT_EQ(shape[-2], 223);
  EXPECT_EQ(shape.str(), "[8,224,223,3]");
  EXPECT_EQ(Shape().numel(), 1);
  EXPECT_EQ(Shape().str(), "[]");
  EXPECT_EQ((Shape{4, 0, 2}).numel(), 0);
  expect_error([&] { shape[4]; }, {"dimension 4 of [8,224,223,3]"});
  expect_error([&] { shape[-5]; }, {"dimension -5"});
}

TEST(Shape, RefusesNegativeAndOverflowingSizes) {
  expect_error([] { Shape{2, -1}; }, {"negative size in [2,-1]"});
  expect_error([] { Shape{std::int64_t{1} << 32, std::int64_t{1} << 31}; }, {"overflow"});
  expect_error([] { Tensor::empty({std::int64_t{1} << 61}); }, {"too large"});
}

TEST(Shape, BroadcastsFromTheRight) {
  EXPECT_EQ(broadcast_shapes({8, 1, 3}, {5, 1}, "add"), (Shape{8, 5, 3}));
  EXPECT_EQ(broadcast_shapes({}, {2, 3}, "add"), (Shape{2, 3}));
  EXPECT_EQ(broadcast_shapes({2, 0}, {1, 1}, "add"), (Shape{2, 0}));
  expect_error([] { broadcast_shapes({2, 3}, {2}, "add"); }, {"add: shapes [2,3] and [2] do not broadcast"});
}

TEST(Tensor, IsMadeWithTheNumbersAskedFor) {
  EXPECT_EQ(Tensor::zeros({3}).to_vector<float>(), (std::vector<float>{0, 0, 0}));
  EXPECT_EQ(Tensor::full({2}, 7, {DType::int64, {}}).to_vector<std::int64_t>(),
            (std::vector<std::int64_t>{7, 7}));
  EXPECT_EQ(Tensor::scalar(0.25).shape(), Shape{1});
  EXPECT_EQ(Tensor::scalar(0.25).item(), 0.25);
  EXPECT_EQ(counting({2, 3}).nbytes(), 24);
  EXPECT_EQ(counting({2, 3}).str(), "float32 [2,3]");
  expect_error([] { Tensor::from(std::vector<float>{1, 2, 3}, {2, 2}); }, {"3 values for shape [2,2]"});
}

TEST(Tensor, SaysWhatIsWrongWithItsUse) {
  expect_error([] { Tensor().to_vector<float>(); }, {"to_vector: the tensor is undefined"});
  expect_error([] { Tensor().data<float>(); }, {"undefined"});
  expect_error([] { counting({2}).data<double>(); }, {"float32 [2] asked for as float64"});
  expect_error([] { counting({2}).item(); }, {"item: [2] has 2 elements, expected 1"});
  EXPECT_EQ(Tensor().str(), "undefined");
  EXPECT_FALSE(Tensor().defined());
}

TEST(Tensor, ReshapesShare) {
  const Tensor x = counting({4, 3});
  const Tensor y = x.reshape({2, -1});
  EXPECT_EQ(y.shape(), (Shape{2, 6}));
  EXPECT_TRUE(y.shares_with(x));
  EXPECT_EQ(y.raw(), x.raw());
  EXPECT_EQ(x.reshape({-1}).shape(), Shape{12});
  EXPECT_EQ(Tensor::zeros({0, 3}).reshape({3, 0}).shape(), (Shape{3, 0}));
  EXPECT_EQ(Tensor::scalar(1).reshape(std::vector<std::int64_t>{}).dim(), 0);
  expect_error([&] { x.reshape({5, -1}); }, {"reshape: 12 elements of [4,3] do not divide by 5"});
  expect_error([&] { x.reshape({-1, -1}); }, {"more than one size is -1"});
  expect_error([&] { x.reshape({4, 4}); }, {"[4,3] has 12 elements, [4,4] has 16"});
}

TEST(Tensor, RowsShareAndNest) {
  Tensor x = counting({4, 3});
  Tensor rows = x.rows(1, 4).rows(1, 3);
  EXPECT_EQ(rows.to_vector<float>(), (std::vector<float>{6, 7, 8, 9, 10, 11}));
  rows.data<float>()[0] = -1;
  EXPECT_EQ(x.data<float>()[6], -1);
  EXPECT_FALSE(x.is_unique());
  EXPECT_EQ(x.rows(2, 2).numel(), 0);
  expect_error([&] { x.rows(3, 5); }, {"rows: [3, 5) of [4,3]"});
  expect_error([&] { x.rows(2, 1); }, {"rows: [2, 1)"});
  expect_error([&] { Tensor::full(Shape(), 1).rows(0, 1); }, {"a scalar has no rows"});
}

TEST(Tensor, ACloneHasMemoryOfItsOwn) {
  Tensor x = counting({2, 2});
  const Tensor y = x.rows(1, 2).clone();
  x.fill(9);
  EXPECT_EQ(y.to_vector<float>(), (std::vector<float>{2, 3}));
  EXPECT_TRUE(y.is_unique());
  EXPECT_FALSE(y.shares_with(x));
}

TEST(Tensor, ConvertsBetweenAllTypes) {
  const std::vector<double> values{0, 1, 2, 100, 200};  // exact in all five types
  const Tensor x = Tensor::from(values, {5});
  const std::vector<DType> types{DType::float32, DType::float64, DType::bfloat16, DType::int64, DType::uint8};
  for (const DType from : types) {
    for (const DType to : types) {
      const Tensor y = x.to(from).to(to);
      EXPECT_EQ(y.dtype(), to);
      EXPECT_EQ(y.to_vector<double>(), values) << name_of(from) << " to " << name_of(to);
    }
  }
  EXPECT_TRUE(x.to(DType::float64).shares_with(x));
}

TEST(Tensor, ConversionsRoundAndTruncate) {
  const Tensor x = Tensor::from(std::vector<float>{2.7F, -2.7F, 1.00390625F, 1.01171875F}, {4});
  EXPECT_EQ(x.to(DType::int64).to_vector<std::int64_t>(), (std::vector<std::int64_t>{2, -2, 1, 1}));
  // The last two are ties between two bfloat16: 1 + 1/256 goes down to 1, 1 + 3/256 up to 1 + 4/256.
  EXPECT_EQ(x.rows(2, 4).to(DType::bfloat16).to_vector<double>(), (std::vector<double>{1.0, 1.015625}));
  const std::int64_t big = (std::int64_t{1} << 53) + 1;  // int64 to int64 does not pass through double
  EXPECT_EQ(Tensor::from(std::vector<std::int64_t>{big}, {1}).to_vector<std::int64_t>()[0], big);
}

TEST(Tensor, CopyFromConvertsAndChecks) {
  Tensor x = Tensor::zeros({2, 2});
  x.copy_from(Tensor::from(std::vector<std::int64_t>{1, 2, 3, 4}, {2, 2}));
  EXPECT_EQ(x.to_vector<float>(), (std::vector<float>{1, 2, 3, 4}));
  Tensor y = counting({4, 1});  // rows that overlap
  y.rows(1, 4).copy_from(y.rows(0, 3));
  EXPECT_EQ(y.to_vector<float>(), (std::vector<float>{0, 0, 1, 2}));
  expect_error([&] { x.copy_from(Tensor::zeros({4})); }, {"copy_from: source is [4], expected [2,2]"});
}

TEST(Tensor, ChecksNameOpAndArgument) {
  const Tensor x = counting({2, 3});
  expect_error([&] { check_dtype("conv2d", "weight", x, DType::float64); },
               {"conv2d: weight is float32 [2,3], expected float64"});
  expect_error([&] { check_shape("conv2d", "bias", x, {3}); }, {"conv2d: bias is [2,3], expected [3]"});
  expect_error([&] { check_dim("conv2d", "x", x, 4); }, {"conv2d: x is [2,3], expected 4 dimensions"});
  expect_error([&] { check_dim("conv2d", "x", Tensor(), 4); }, {"conv2d: x is undefined"});
}

TEST(Tensor, OnTheSameDeviceIsTheSameTensor) {
  const Tensor x = counting({2, 3});
  EXPECT_TRUE(x.to(Device{}).shares_with(x));
  expect_error([] { Tensor().to(Device{}); }, {"to: the tensor is undefined"});
}

TEST(Tensor, ACudaTensorIsRefusedWhereNoneCanBe) {
  const Device cuda{DeviceType::cuda, 0};
  const std::string why = why_unusable(cuda);
  if (why.empty()) GTEST_SKIP() << "this machine has a GPU that this build runs on";
  EXPECT_NE(why.find(has_cuda ? "CUDA device" : "no CUDA backend"), std::string::npos) << why;
  expect_error([&] { Tensor::empty({1}, {DType::float32, cuda}); }, {has_cuda ? why : "no CUDA backend"});
  expect_error([&] { Tensor::zeros({1}).to(cuda); }, {has_cuda ? why : "no CUDA backend"});
  expect_error([&] { check_device("--device cuda", cuda); }, {"--device cuda: " + why});
  EXPECT_EQ(why_unusable({}), "");
  check_device("--device cpu", {});
  synchronize(Device{});
}

}  // namespace
}  // namespace dcl::tensor
