// Recipes of augmentation, what lies over them, and what a run makes of them.
#include "densecl/augment_config.h"

#include <gtest/gtest.h>

#include "densecl/config_fields.h"
#include "densecl/presets.h"
#include "tensor/check.h"

namespace {

using dcl::data::AugmentOptions;
using dcl::data::Range;
using dcl::data::ViewOptions;
using dcl::densecl::augment_options;
using dcl::densecl::PerView;
using dcl::densecl::TrainConfig;

using Settings = std::vector<dcl::densecl::Setting>;

TrainConfig with(const Settings& settings) {
  TrainConfig config;
  config.data = "photos";
  apply(config, {"", settings});
  return config;
}

// All options of a view, in the order of their declaration.
auto values(const ViewOptions& o) {
  return std::tuple(std::pair(o.crop_scale.low, o.crop_scale.high),
                    std::pair(o.crop_ratio.low, o.crop_ratio.high), o.jitter_probability, o.brightness,
                    o.contrast, o.saturation, o.hue, o.grayscale_probability, o.blur_probability,
                    std::pair(o.blur_sigma.low, o.blur_sigma.high), o.flip_probability,
                    o.solarize_probability, o.solarize_threshold);
}

constexpr std::pair kRatio{3.0 / 4, 4.0 / 3};
constexpr std::pair kSigma{0.1, 2.0};

TEST(AugmentRecipes, MocoV2IsTheDefaultOfBothViews) {
  const std::tuple expected(std::pair(0.2, 1.0), kRatio, 0.8, 0.4, 0.4, 0.4, 0.1, 0.2, 0.5, kSigma, 0.5, 0.0,
                            128);
  for (const auto& settings : {Settings{}, Settings{{"aug", "mocov2"}}}) {
    const AugmentOptions options = augment_options(with(settings));
    EXPECT_EQ(values(options.of_view(0)), expected);
    EXPECT_EQ(values(options.of_view(1)), expected);
    EXPECT_EQ(options.image_size, 224);
  }
  for (const auto& preset : dcl::densecl::presets()) {
    TrainConfig config;
    apply(config, dcl::densecl::preset_layer(preset.name));
    EXPECT_EQ(values(augment_options(config).of_view(1)), expected) << preset.name;
  }
}

// Grill et al. 2020, table 6.
TEST(AugmentRecipes, ByolsViewsDifferInBlurAndSolarization) {
  const AugmentOptions options = augment_options(with({{"aug", "byol"}}));
  EXPECT_EQ(values(options.of_view(0)), std::tuple(std::pair(0.08, 1.0), kRatio, 0.8, 0.4, 0.4, 0.2, 0.1, 0.2,
                                                   1.0, kSigma, 0.5, 0.0, 128));
  EXPECT_EQ(values(options.of_view(1)), std::tuple(std::pair(0.08, 1.0), kRatio, 0.8, 0.4, 0.4, 0.2, 0.1, 0.2,
                                                   0.1, kSigma, 0.5, 0.2, 128));
}

// Same pixels in both views and all epochs, whatever the picture's shape.
TEST(AugmentRecipes, NoneIsTheSquareInTheMiddle) {
  const AugmentOptions options = augment_options(with({{"aug", "none"}}));
  for (const auto& [width, height, box] : {std::tuple(500, 375, dcl::data::CropBox{0, 62, 375, 375}),
                                           std::tuple(64, 64, dcl::data::CropBox{0, 0, 64, 64}),
                                           std::tuple(100, 101, dcl::data::CropBox{0, 0, 100, 100}),
                                           std::tuple(1, 9, dcl::data::CropBox{4, 0, 1, 1})})
    for (std::int64_t epoch = 0; epoch < 50; ++epoch)
      for (const auto& view : draw_pair(width, height, options, {.seed = 1, .epoch = epoch})) {
        EXPECT_EQ(view.crop, box) << width << "x" << height;
        EXPECT_TRUE(!view.jitter && !view.grayscale && !view.blur_sigma && !view.flip &&
                    !view.solarize_threshold);
      }
}

TEST(AugmentSettings, LieOverTheirRecipeWhateverTheLayer) {
  TrainConfig config;
  apply(config, {"preset", {{"blur-prob", "0.7"}}});
  apply(config, {"file", {{"hue", "0.2,0.3"}, {"crop_scale", "0.5,0.9"}}});
  apply(config, {"", {{"aug", "byol"}, {"solarize-threshold", "64"}}});
  const AugmentOptions options = augment_options(config);
  EXPECT_EQ(options.of_view(0).blur_probability, 0.7);
  EXPECT_EQ(options.of_view(1).blur_probability, 0.7);
  EXPECT_EQ(options.of_view(0).hue, 0.2);
  EXPECT_EQ(options.of_view(1).hue, 0.3);
  EXPECT_EQ(options.of_view(1).crop_scale, (Range{0.5, 0.9}));
  EXPECT_EQ(options.of_view(1).solarize_threshold, 64);
  EXPECT_EQ(options.of_view(1).solarize_probability, 0.2);  // byol's
  EXPECT_EQ(augmentation_text(config),
            "byol, --crop-scale 0.5,0.9, --hue 0.2,0.3, --blur-prob 0.7, --solarize-threshold 64");
  EXPECT_EQ(augmentation_text(TrainConfig{}), "mocov2");
}

// A saved configuration names its recipe and all its values: a flag that names another means that one.
TEST(AugmentSettings, ARecipeTakesThePlaceOfALowerLayers) {
  TrainConfig config = resolved(with({{"aug", "byol"}, {"blur-prob", "0.7"}}));
  apply(config, {"", {{"aug", "none"}, {"flip-prob", "0.5"}}});
  EXPECT_EQ(augmentation_text(config), "none, --flip-prob 0.5");
  EXPECT_EQ(augment_options(config).blur_probability, 0);
}

TEST(AugmentSettings, AllOfThemReachTheLoadersOptions) {
  const AugmentOptions options = augment_options(with({{"image-size", "96"},
                                                       {"crop-scale", "0.3,0.4"},
                                                       {"crop-ratio", "0.5,2"},
                                                       {"jitter-prob", "0.01,0.02"},
                                                       {"brightness", "0.03,0.04"},
                                                       {"contrast", "0.05,0.06"},
                                                       {"saturation", "0.07,0.08"},
                                                       {"hue", "0.09,0.1"},
                                                       {"grayscale-prob", "0.11,0.12"},
                                                       {"blur-prob", "0.13,0.14"},
                                                       {"blur-sigma", "1,3"},
                                                       {"flip-prob", "0.15,0.16"},
                                                       {"solarize-prob", "0.17,0.18"},
                                                       {"solarize-threshold", "99"}}));
  const std::pair scale(0.3, 0.4);
  const std::pair ratio(0.5, 2.0);
  const std::pair sigma(1.0, 3.0);
  EXPECT_EQ(options.image_size, 96);
  EXPECT_EQ(values(options.of_view(0)),
            std::tuple(scale, ratio, 0.01, 0.03, 0.05, 0.07, 0.09, 0.11, 0.13, sigma, 0.15, 0.17, 99));
  EXPECT_EQ(values(options.of_view(1)),
            std::tuple(scale, ratio, 0.02, 0.04, 0.06, 0.08, 0.1, 0.12, 0.14, sigma, 0.16, 0.18, 99));
}

TEST(AugmentSettings, ResolvedLeavesNothingOpen) {
  const TrainConfig run = resolved(with({{"aug", "byol"}}));
  for (const auto& field : dcl::densecl::config_fields())
    EXPECT_FALSE(field.group == dcl::densecl::kAugmentation && field_text(run, field).empty()) << field.name;
  EXPECT_EQ(run.blur_prob, (PerView{1, 0.1}));
  EXPECT_NE(to_toml(run).find("\nblur_prob = [1.0, 0.1]\n"), std::string::npos) << to_toml(run);
  EXPECT_NE(to_toml(run).find("\nflip_prob = 0.5\n"), std::string::npos);
  EXPECT_NE(to_toml(run).find("\ncrop_scale = [0.08, 1.0]\n"), std::string::npos);
}

TEST(AugmentSettings, BadValuesAreRefusedWithWhatWasExpected) {
  const std::vector<std::pair<dcl::densecl::Setting, std::string>> table = {
      {{"aug", "moco"}, "--aug: unknown aug 'moco', did you mean mocov2?"},
      {{"aug", "simclr"}, "--aug: unknown aug 'simclr', expected one of mocov2, byol, none"},
      {{"blur-prob", "1.5"}, "--blur-prob: 1.5 is out of range, expected 0 to 1"},
      {{"blur-prob", "1,-0.1"}, "--blur-prob: 1,-0.1 is out of range, expected 0 to 1"},
      {{"blur-prob", "0.5,nan"}, "--blur-prob: 0.5,nan is not a finite number"},
      {{"blur-prob", "1,1,1"},
       "--blur-prob: '1,1,1' is more than two numbers, expected one for both views or two"},
      {{"blur-prob", "1,"}, "--blur-prob: '' is not a number"},
      {{"crop-scale", "0.2"}, "--crop-scale: '0.2' is not two numbers LOW,HIGH"},
      {{"crop-scale", "1,0.2"}, "--crop-scale: 1,0.2 begins above its end, expected LOW,HIGH"},
      {{"crop-scale", "0.2,1.1"}, "--crop-scale: 0.2,1.1 is out of range, expected 1e-06 to 1"},
      {{"crop-ratio", "a,b"}, "--crop-ratio: 'a' is not a number"},
      {{"hue", "0.6"}, "--hue: 0.6 is out of range, expected 0 to 0.5"},
      {{"solarize-threshold", "257"}, "--solarize-threshold: 257 is out of range, expected 0 to 256"}};
  for (const auto& [setting, message] : table) {
    std::string said = "accepted";
    try {
      check_config(with({setting}));
    } catch (const dcl::Error& error) {
      said = error.what();
    }
    EXPECT_EQ(said, message);
  }
}

}  // namespace
