#include <gtest/gtest.h>

#include "tests/support/augment_cases.h"

namespace dcl::test {
namespace {

const std::filesystem::path kFolder = std::filesystem::path(DCL_SOURCE_DIR) / "tests/golden/augment";

// Decode, crop and resize, every jitter operation, grayscale, blur and flip: the same bytes as Pillow 12.3.
TEST(AugmentGolden, EveryStageHasPillowsPixels) {
  const auto results = run_augment_cases(kFolder);
  EXPECT_EQ(results.size(), 97U);
  for (const auto& result : results) {
    EXPECT_TRUE(result.ok()) << result.name << ": " << result.error << " " << result.levels << " levels on "
                             << 100 * result.share << " % of the values";
  }
}

TEST(AugmentGolden, Sha256OfKnownBytes) {  // FIPS 180-2, appendix B.1
  const std::vector<std::uint8_t> abc{'a', 'b', 'c'};
  EXPECT_EQ(sha256(abc), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

}  // namespace
}  // namespace dcl::test
