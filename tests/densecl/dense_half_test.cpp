#include "densecl/report/dense_half.h"

#include <thread>

#include <gtest/gtest.h>

#include "densecl/model.h"
#include "tests/ops/op_table.h"

namespace dcl::densecl::report {
namespace {

using namespace std::chrono_literals;
using test::expect_error;

void op(const char* name, const tensor::Work& work, const std::string& detail = {}) {
  const tensor::ProfileScope scope(name);
  tensor::count_work(work, detail);
  std::this_thread::sleep_for(2ms);
}

void step(double flop) {
  op("conv2d", {5e6, 0}, "1x1 s1 8x8x4 -> 4");
  op("conv2d", {7e6, 0}, "3x3 s1 8x8x4 -> 4");
  {
    const tensor::ProfilePart part(kDenseHalf);
    op("conv2d", {flop, 0}, "1x1 s1 7x7x4 -> 4");
    op("normalize", {});
  }
  op("conv2d_backward_input", {5e6, 0}, "1x1 s2 8x8x4 -> 4");
}

TEST(DenseHalf, IsComparedWithTheOther1x1Convolutions) {
  const tensor::ProfileRecording recording;
  for (int i = 0; i < 3; ++i) step(2e6);
  const DenseHalf half = dense_half(recording, 3);
  EXPECT_EQ(half.dense.flop, 2e6);
  EXPECT_EQ(half.conv1x1.flop, 1e7);
  EXPECT_GE(half.dense.seconds, 4e-3);
  EXPECT_GE(half.conv1x1.seconds, 4e-3);
  EXPECT_DOUBLE_EQ(half.seconds_at_that_rate(), 2e6 * half.conv1x1.seconds / 1e7);
  EXPECT_DOUBLE_EQ(half.ratio(), 5 * half.dense.seconds / half.conv1x1.seconds);
  EXPECT_NE(half.str().find(fmt::format("{:.2f} times", half.ratio())), std::string::npos) << half.str();
}

TEST(DenseHalf, WantsEqualStepsThatHaveOne) {
  tensor::ProfileRecording recording;
  op("conv2d", {5e6, 0}, "1x1 s1 8x8x4 -> 4");
  expect_error([&] { dense_half(recording, 1); }, {"dense half", "none"});
  op("info_nce", {5e6, 0});
  expect_error([&] { dense_half(recording, 2); }, {"op 0", "info_nce", "conv2d 1x1"});
}

// The operations of a step: a map of one cell a picture.
TEST(DenseHalf, OfAModelHasHeadMatchAndLoss) {
  constexpr std::int64_t kPictures = 4;
  ContrastiveModel model({.arch = "resnet18", .dim = 8, .hidden = 16, .queue = 10});
  model.initialise(0);
  const tensor::TensorOptions floats{tensor::DType::float32, {}};
  const auto view = [&](std::uint64_t seed) {
    return test::random_tensor({kPictures, 32, 32, 3}, seed).to(floats.dtype);
  };
  const Tensor order = Tensor::from(std::vector<std::int64_t>{0, 1, 2, 3}, {kPictures});
  const tensor::ProfileRecording recording;
  const auto out = model.forward(view(1), view(2), order, Tensor::scalar(0.5, floats));
  autograd::backward(out.loss);
  const double head = 4 * (512 * 16 + 16 * 8);  // of both encoders, and both gradients
  const double rest = 512 + 2 * 10 * 8;         // match, loss and its gradient
  EXPECT_EQ(dense_half(recording, 1).dense.flop, 2 * kPictures * (head + rest));
}

}  // namespace
}  // namespace dcl::densecl::report
