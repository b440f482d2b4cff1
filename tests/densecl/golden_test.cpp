// Whole training steps against the reference's numbers: every loss, gradient, weight, statistic and queue.
#include <algorithm>
#include <cmath>

#include <gtest/gtest.h>

#include "tests/support/reference_case.h"
#include "tests/support/tile_paths.h"

namespace dcl::test {
namespace {

using nlohmann::json;
using tensor::DType;

class GoldenCase : public testing::TestWithParam<std::string> {};

TEST_P(GoldenCase, AgreesInDouble) {
  const json file = golden_case(GetParam());
  const auto worst = compare_case(file, run_case(file.at("case"), {DType::float64, {}}), DType::float64);
  EXPECT_TRUE(worst.ok()) << worst.name << " differs by " << worst.worst << ", allowed " << worst.tolerance;
}

TEST_P(GoldenCase, LossesAgreeInFloat) {
  const json file = golden_case(GetParam());
  const auto worst = compare_case(file, run_case(file.at("case"), {DType::float32, {}}), DType::float32);
  EXPECT_TRUE(worst.ok()) << worst.name << " differs by " << worst.worst << ", allowed " << worst.tolerance;
}

// As on a processor with AMX: float32 by six tile products wherever they are taken.
TEST(GoldenCaseByTiles, LossesAgreeInFloat) {
  const OnFloatTiles tiles;
  const json file = golden_case("mocov2_resnet18");
  const auto worst = compare_case(file, run_case(file.at("case"), {DType::float32, {}}), DType::float32);
  EXPECT_TRUE(worst.ok()) << worst.name << " differs by " << worst.worst << ", allowed " << worst.tolerance;
}

INSTANTIATE_TEST_SUITE_P(Cases, GoldenCase, testing::ValuesIn(golden_case_names()),
                         [](const auto& tested) { return tested.param; });

// Every number counts: changed by 1e-6 of itself, it is found, by its name.
TEST(CompareCase, FindsASingleChangedNumber) {
  const json file = golden_case("mocov2_resnet18");
  const json& expected = file.at("expected");
  ASSERT_TRUE(compare_case(file, expected, DType::float64).ok());
  const json flat = expected.flatten();
  int numbers = 0;
  for (const auto& [path, value] : flat.items()) {
    json changed = expected;
    json& number = changed[json::json_pointer(path)];
    number = number.get<double>() + 1e-6 * std::max(1.0, std::abs(number.get<double>()));
    const auto worst = compare_case(file, changed, DType::float64);
    std::string name = path.substr(1);
    std::replace(name.begin(), name.end(), '/', '.');
    EXPECT_FALSE(worst.ok()) << path;
    EXPECT_EQ(worst.name, name);
    ++numbers;
  }
  EXPECT_GT(numbers, 500);
}

TEST(CompareCase, AMissingNumberIsADifference) {
  const json file = golden_case("mocov2_resnet18");
  json got = file.at("expected");
  got["steps"][0].erase("loss");
  EXPECT_FALSE(compare_case(file, got, DType::float64).ok());
  got = file.at("expected");
  got["steps"].erase(1);
  EXPECT_FALSE(compare_case(file, got, DType::float64).ok());
  got = file.at("expected");
  got["final"]["queue"][0] = std::nan("");
  EXPECT_FALSE(compare_case(file, got, DType::float64).ok());
}

TEST(Stream, IsSplitmix64OfTheName) {
  // The first numbers of reference.py's stream("im/0", 3).
  const auto values = stream("im/0", 3);
  const json expected = read_json(DCL_SOURCE_DIR "/tests/golden/protocol/stream.json");
  for (std::size_t i = 0; i < values.size(); ++i) EXPECT_DOUBLE_EQ(values[i], expected[i].get<double>());
}

}  // namespace
}  // namespace dcl::test
