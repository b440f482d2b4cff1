// The folded ResNet against the ResNet in evaluation mode.
#include "nn/folded_resnet.h"

#include <algorithm>
#include <cmath>
#include <string>

#include <gtest/gtest.h>

#include "tensor/cpu/threads.h"
#include "tests/ops/op_table.h"
#include "tests/support/tile_paths.h"

namespace dcl::nn {
namespace {

using tensor::DType;

// He's weights, and batch norms that have seen something: statistics that change both scale and shift, and a
// weight that may be negative.
void fill_randomly(ResNet& net) {
  initialise_resnet(net, 3, "net");
  std::uint64_t seed = 0;
  for (auto& [name, value] : net.state()) {
    if (value.dim() != 1) continue;
    const test::Range range = name.ends_with("running_var") ? test::Range{0.5, 2} : test::Range{-0.8, 1.2};
    Tensor(value).copy_from(test::random_tensor(value.shape(), ++seed, range));
  }
  net.set_training(false);
}

Tensor features_of(ResNet& net, const Tensor& pictures) {
  const autograd::NoGradGuard no_grad;
  return net.forward(pictures).value();
}

class FoldedResNetOf : public testing::TestWithParam<std::string> {
 protected:
  void TearDown() override { tensor::cpu::set_num_threads(before_); }

 private:
  int before_ = tensor::cpu::num_threads();
};

double largest(const Tensor& x) {
  double most = 0;
  for (const double v : x.to_vector<double>()) most = std::max(most, std::abs(v));
  return most;
}

TEST_P(FoldedResNetOf, GivesTheFeaturesOfEvaluationMode) {
  for (const DType type : {DType::float64, DType::float32}) {
    ResNet net(GetParam(), {.tensors = {type, {}}});
    fill_randomly(net);
    const FoldedResNet folded(net);
    for (const std::int64_t batch : {1, 3}) {
      const Tensor pictures = test::random_tensor({batch, 67, 45, 3}, 9).to(type);
      const Tensor expected = features_of(net, pictures);
      const double scale = largest(expected);
      ASSERT_GT(scale, 0);
      const double allowed = type == DType::float64 ? 1e-11 : 1e-3;
      test::expect_close(folded.forward(pictures), expected, {allowed, allowed * scale},
                         fmt::format("{}, batch {}, {}", GetParam(), batch, name_of(type)));
    }
  }
}

// Weights and maps have 8 bits: between neighbouring layers the errors are independent and small, so that
// what is left of them is measured by its root mean square, and its direction.
TEST_P(FoldedResNetOf, RoundsFeaturesOfBfloat16Little) {
  ResNet net(GetParam());
  fill_randomly(net);
  const FoldedResNet folded(net, DType::bfloat16);
  test::on_every_tile_path([&](const std::string& path) {
    const Tensor pictures = test::random_tensor({2, 67, 45, 3}, 9).to(DType::float32);
    const Tensor features = folded.forward(pictures.to(DType::bfloat16));
    EXPECT_EQ(features.dtype(), DType::bfloat16);
    const auto exact = features_of(net, pictures).to_vector<float>();
    const auto rounded = features.to(DType::float32).to_vector<float>();
    ASSERT_EQ(exact.size(), rounded.size());
    double error = 0;
    double size = 0;
    for (std::size_t i = 0; i < exact.size(); ++i) {
      error += std::pow(exact[i] - rounded[i], 2);
      size += std::pow(exact[i], 2);
    }
    // 2^-9 a rounding, two roundings a layer, errors of up to 152 layers added as squares
    EXPECT_LT(std::sqrt(error / size), 0.05) << path;
  });
}

TEST_P(FoldedResNetOf, GivesTheSameBitsOnAnyNumberOfThreads) {
  ResNet net(GetParam());
  fill_randomly(net);
  const FoldedResNet folded(net);
  for (const std::int64_t batch : {1, 3}) {
    const Tensor pictures = test::random_tensor({batch, 64, 64, 3}, 9).to(DType::float32);
    tensor::cpu::set_num_threads(1);
    const Tensor one = folded.forward(pictures);
    tensor::cpu::set_num_threads(2);
    test::expect_same_bits(folded.forward(pictures), one, GetParam());
  }
}

INSTANTIATE_TEST_SUITE_P(Archs, FoldedResNetOf, testing::ValuesIn(resnet_names()));

// Maps so large that the first stages see fewer pictures at a time.
TEST(FoldedResNet, GivesTheSameOfLargePictures) {
  ResNet net("resnet18");
  fill_randomly(net);
  const FoldedResNet folded(net);
  const Tensor pictures = test::random_tensor({3, 640, 605, 3}, 9).to(DType::float32);
  const Tensor expected = features_of(net, pictures);
  const Tensor features = folded.forward(pictures);
  test::expect_close(features, expected, {1e-3, 1e-3 * largest(expected)});
  for (int i = 0; i < 3; ++i)
    test::expect_close(folded.forward(pictures.rows(i, i + 1)), features.rows(i, i + 1),
                       {1e-3, 1e-3 * largest(expected)});
}

TEST(FoldedResNet, NoPicturesHaveNoFeatures) {
  const ResNet net("resnet50");
  EXPECT_EQ(FoldedResNet(net).forward(Tensor::zeros({0, 64, 64, 3})).shape(), (tensor::Shape{0, 2, 2, 2048}));
}

TEST(FoldedResNet, KeepsTheWeightsItWasMadeFrom) {
  ResNet net("resnet18");
  fill_randomly(net);
  const FoldedResNet folded(net);
  const Tensor pictures = test::random_tensor({1, 64, 64, 3}).to(DType::float32);
  const Tensor before = folded.forward(pictures);
  initialise_resnet(net, 4, "net");
  test::expect_same_bits(folded.forward(pictures), before);
}

TEST(FoldedResNet, Errors) {
  const ResNet net("resnet18");
  const FoldedResNet folded(net);
  test::expect_error([&] { const FoldedResNet as(net, DType::float64); }, {"float32", "float64"});
  const FoldedResNet rounded(net, DType::bfloat16);
  test::expect_error([&] { rounded.forward(Tensor::zeros({1, 64, 64, 3})); },
                     {"pictures", "float32", "bfloat16"});
  test::expect_error([&] { folded.forward({}); }, {"pictures"});
  test::expect_error([&] { folded.forward(Tensor::zeros({1, 64, 64, 4})); }, {"pictures", "[1,64,64,4]"});
  test::expect_error([&] { folded.forward(Tensor::zeros({1, 0, 64, 3})); }, {"pictures", "no pixels"});
  test::expect_error([&] { folded.forward(Tensor::zeros({64, 64, 3})); }, {"pictures", "[64,64,3]"});
  test::expect_error([&] { folded.forward(Tensor::zeros({1, 64, 64, 3}).to(DType::float64)); },
                     {"pictures", "float64", "float32"});
}

}  // namespace
}  // namespace dcl::nn
