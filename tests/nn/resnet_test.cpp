#include "nn/resnet.h"

#include <cmath>
#include <fstream>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "nn/state.h"
#include "tests/ops/op_table.h"

namespace dcl::nn {
namespace {

class ResNetState : public testing::TestWithParam<std::string> {};

// tests/golden/nn/resnet_state.json: names and shapes of torchvision 0.30's state_dict(), without the
// classifier.
TEST_P(ResNetState, HasTorchvisionsNamesShapesAndOrder) {
  std::ifstream in(DCL_SOURCE_DIR "/tests/golden/nn/resnet_state.json");
  const auto expected = nlohmann::json::parse(in).at(GetParam());
  const ResNet net(GetParam());
  const auto state = net.state();
  ASSERT_EQ(state.size(), expected.size());
  for (std::size_t i = 0; i < state.size(); ++i) {
    EXPECT_EQ(state[i].name, expected[i][0].get<std::string>());
    EXPECT_EQ(to_pytorch_layout(state[i].tensor).shape().sizes(),
              expected[i][1].get<std::vector<std::int64_t>>())
        << state[i].name;
  }
}

INSTANTIATE_TEST_SUITE_P(Archs, ResNetState, testing::ValuesIn(resnet_names()));

TEST(ResNet, GivesAThirtySecondOfTheSide) {
  const autograd::NoGradGuard no_grad;
  for (const auto& [arch, channels] : {std::pair{"resnet18", 512}, std::pair{"resnet50", 2048}}) {
    ResNet net(arch);
    initialise_resnet(net, 0, "net");
    for (const auto& [side, cells] : {std::pair{64, 2}, std::pair{75, 3}}) {
      const Variable features = net.forward(Tensor::full({2, side, side, 3}, 0.5));
      EXPECT_EQ(features.shape(), (tensor::Shape{2, cells, cells, channels})) << arch << " at " << side;
    }
  }
}

TEST(ResNet, RefusesAnUnknownArch) {
  test::expect_error([] { const ResNet net("resnet20"); }, {"resnet20", "resnet18", "resnet152"});
}

TEST(ResNet, ConvolutionsStartNormalWithHesDeviation) {
  ResNet net("resnet18");
  initialise_resnet(net, 7, "net");
  for (const auto& [name, parameter] : net.parameters()) {
    const Tensor& value = parameter.value();
    if (value.dim() == 1) {
      for (const double v : value.to_vector<double>())
        ASSERT_EQ(v, name.ends_with("weight") ? 1.0 : 0.0) << name;
      continue;
    }
    const auto n = static_cast<double>(value.numel());
    const double expected = 2.0 / static_cast<double>(value.numel() / value.size(0));
    double sum = 0;
    double squares = 0;
    for (const double v : value.to_vector<double>()) {
      sum += v;
      squares += v * v;
    }
    // Five standard errors of the mean and of the variance of n normal numbers.
    EXPECT_NEAR(sum / n, 0, 5 * std::sqrt(expected / n)) << name;
    EXPECT_NEAR(squares / n, expected, 5 * expected * std::sqrt(2 / n)) << name;
  }
}

TEST(ResNet, StartsTheSameFromTheSameSeedAndOtherwiseFromAnother) {
  const auto first_weight = [](std::uint64_t seed, const std::string& prefix) {
    ResNet net("resnet18");
    initialise_resnet(net, seed, prefix);
    return net.parameters().front().variable.value().to_vector<double>();
  };
  EXPECT_EQ(first_weight(1, "a"), first_weight(1, "a"));
  EXPECT_NE(first_weight(1, "a"), first_weight(2, "a"));
  EXPECT_NE(first_weight(1, "a"), first_weight(1, "b"));
}

}  // namespace
}  // namespace dcl::nn
