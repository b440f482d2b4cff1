// What is drawn for a view, exactly: boxes at the borders, which numbers come from which stream, what is
// switched off. Distributions: view_distribution_test.cpp.
#include <gtest/gtest.h>

#include "data/augment.h"

namespace dcl::data {
namespace {

constexpr int kDraws = 20000;

tensor::RandomStream stream(std::int64_t sample, std::uint8_t view = 0) {
  return tensor::RandomStream({.seed = 11,
                               .purpose = tensor::Purpose::augmentation,
                               .sample = static_cast<std::uint64_t>(sample),
                               .view = view});
}

std::vector<ViewParams> draws(std::int64_t width, std::int64_t height, const ViewOptions& options = {}) {
  std::vector<ViewParams> all;
  for (int i = 0; i < kDraws; ++i) {
    auto random = stream(i);
    all.push_back(draw_view(width, height, options, random));
  }
  return all;
}

TEST(ViewParams, CropsOfSmallPicturesStayInsideAndReachEveryEdge) {
  bool top = false;
  bool bottom = false;
  bool left = false;
  bool right = false;
  for (const auto& params : draws(5, 7)) {
    const CropBox& box = params.crop;
    ASSERT_TRUE(box.top >= 0 && box.left >= 0 && box.height > 0 && box.width > 0);
    ASSERT_TRUE(box.top + box.height <= 7 && box.left + box.width <= 5);
    top |= box.top == 0 && box.height < 7;
    bottom |= box.top > 0 && box.top + box.height == 7;
    left |= box.left == 0 && box.width < 5;
    right |= box.left > 0 && box.left + box.width == 5;
  }
  EXPECT_TRUE(top && bottom && left && right);
}

// Where no try fits: the largest centred crop of an allowed ratio, as torchvision's get_params returns it.
TEST(ViewParams, TheCropOfLastResort) {
  ViewOptions options;
  for (const Range& scale : {Range{0.999, 1}, Range{1, 1}}) {  // ten tries that do not fit; none
    options.crop_scale = scale;
    options.crop_ratio = {3.0 / 4, 4.0 / 3};
    auto random = stream(0);
    EXPECT_EQ(draw_crop(1000, 100, options, random), (CropBox{0, 433, 100, 133}));
    EXPECT_EQ(draw_crop(100, 1000, options, random), (CropBox{433, 0, 133, 100}));
    EXPECT_EQ(draw_crop(1, 50, options, random), (CropBox{24, 0, 1, 1}));
    options.crop_ratio = {2, 3};
    EXPECT_EQ(draw_crop(100, 100, options, random), (CropBox{25, 0, 50, 100}));
  }
}

// The draws are part of every run's bits.
TEST(ViewParams, ThoseOfTheDefaultRecipeStayAsTheyAre) {
  const auto pair = draw_pair(500, 375, {}, {.seed = 3, .epoch = 2, .sample = 7});
  EXPECT_EQ(pair[0].crop, (CropBox{40, 38, 300, 388}));
  EXPECT_EQ(pair[1].crop, (CropBox{0, 122, 363, 278}));
  ASSERT_TRUE(pair[0].jitter && pair[0].blur_sigma && pair[1].jitter);
  EXPECT_EQ((*pair[0].jitter)[0].kind, JitterKind::brightness);
  EXPECT_DOUBLE_EQ((*pair[0].jitter)[0].factor, 1.3723512083085849);
  EXPECT_EQ((*pair[0].jitter)[1].kind, JitterKind::saturation);
  EXPECT_DOUBLE_EQ((*pair[0].jitter)[3].factor, -0.083184391098636054);  // hue
  EXPECT_DOUBLE_EQ(*pair[0].blur_sigma, 1.7805868643634442);
  EXPECT_TRUE(pair[0].grayscale && pair[0].flip);
  EXPECT_FALSE(pair[1].grayscale || pair[1].blur_sigma || pair[1].flip);
}

TEST(ViewParams, APairIsDrawnFromAStreamAView) {
  AugmentOptions options;
  options.key = ViewOptions{};
  options.key->flip_probability = 1;
  for (std::int64_t sample = 0; sample < 20; ++sample) {
    const auto pair = draw_pair(500, 375, options, {.seed = 11, .sample = sample});
    for (const std::uint8_t view : {0, 1}) {
      auto random = stream(sample, view);
      const ViewParams alone = draw_view(500, 375, options.of_view(view), random);
      EXPECT_EQ(pair[view].crop, alone.crop);
      EXPECT_EQ(pair[view].blur_sigma, alone.blur_sigma);
      EXPECT_EQ(pair[view].flip, alone.flip);
    }
    EXPECT_TRUE(pair[1].flip);
    EXPECT_NE(pair[0].crop, pair[1].crop);
    EXPECT_NE(pair[0].crop, draw_pair(500, 375, options, {.seed = 12, .sample = sample})[0].crop);
    EXPECT_NE(pair[0].crop, draw_pair(500, 375, options, {.seed = 11, .epoch = 1, .sample = sample})[0].crop);
    EXPECT_NE(pair[0].crop, draw_pair(500, 375, options, {.seed = 11, .sample = sample + 1})[0].crop);
  }
}

// Whether a recipe solarizes or not, all else is drawn the same.
TEST(ViewParams, SolarizationIsDrawnLast) {
  ViewOptions solarized;
  solarized.solarize_probability = 1;
  solarized.solarize_threshold = 77;
  for (std::int64_t sample = 0; sample < 200; ++sample) {
    auto a = stream(sample);
    auto b = stream(sample);
    const ViewParams without = draw_view(500, 375, {}, a);
    const ViewParams with = draw_view(500, 375, solarized, b);
    ASSERT_FALSE(without.solarize_threshold);
    ASSERT_EQ(with.solarize_threshold, 77);
    ASSERT_EQ(with.crop, without.crop);
    ASSERT_EQ(with.jitter.has_value(), without.jitter.has_value());
    ASSERT_EQ(with.grayscale, without.grayscale);
    ASSERT_EQ(with.blur_sigma, without.blur_sigma);
    ASSERT_EQ(with.flip, without.flip);
  }
}

TEST(ViewParams, NothingIsDrawnThatIsSwitchedOff) {
  ViewOptions options;
  options.jitter_probability = options.grayscale_probability = options.blur_probability =
      options.flip_probability = 0;
  for (const auto& params : draws(64, 64, options))
    ASSERT_TRUE(!params.jitter && !params.grayscale && !params.blur_sigma && !params.flip &&
                !params.solarize_threshold);
}

}  // namespace
}  // namespace dcl::data
