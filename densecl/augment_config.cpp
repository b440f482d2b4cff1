#include "densecl/augment_config.h"

#include <algorithm>
#include <array>

#include "densecl/config_fields.h"
#include "tensor/check.h"

namespace dcl::densecl {

namespace {

using data::AugmentOptions;
using data::ViewOptions;

// Where a setting stands in the options of a view.
struct NumberOfView {
  std::optional<PerView> TrainConfig::* setting;
  double ViewOptions::* option;
};
struct RangeOfView {
  std::optional<data::Range> TrainConfig::* setting;
  data::Range ViewOptions::* option;
};

constexpr std::array kNumbers = {
    NumberOfView{&TrainConfig::jitter_prob, &ViewOptions::jitter_probability},
    NumberOfView{&TrainConfig::brightness, &ViewOptions::brightness},
    NumberOfView{&TrainConfig::contrast, &ViewOptions::contrast},
    NumberOfView{&TrainConfig::saturation, &ViewOptions::saturation},
    NumberOfView{&TrainConfig::hue, &ViewOptions::hue},
    NumberOfView{&TrainConfig::grayscale_prob, &ViewOptions::grayscale_probability},
    NumberOfView{&TrainConfig::blur_prob, &ViewOptions::blur_probability},
    NumberOfView{&TrainConfig::flip_prob, &ViewOptions::flip_probability},
    NumberOfView{&TrainConfig::solarize_prob, &ViewOptions::solarize_probability}};
constexpr std::array kRanges = {RangeOfView{&TrainConfig::crop_scale, &ViewOptions::crop_scale},
                                RangeOfView{&TrainConfig::crop_ratio, &ViewOptions::crop_ratio},
                                RangeOfView{&TrainConfig::blur_sigma, &ViewOptions::blur_sigma}};

// Grill et al., appendix B, table 6: the views differ in blur and solarization. There each view passes both
// networks; here the first is always the query's.
AugmentOptions byol() {
  AugmentOptions options;
  options.crop_scale = {0.08, 1};
  options.saturation = 0.2;
  options.blur_probability = 1;
  options.key = options;
  options.key->blur_probability = 0.1;
  options.key->solarize_probability = 0.2;
  return options;
}

// The centre crop of evaluation: nothing is drawn, so that a picture is the same in every epoch, and shapes
// keep their proportions, which the whole of an oblong picture, squeezed into a square, would not.
AugmentOptions none() {
  AugmentOptions options;
  options.crop_scale = options.crop_ratio = {1, 1};
  options.jitter_probability = options.grayscale_probability = options.blur_probability =
      options.flip_probability = 0;
  return options;
}

const AugmentOptions& recipe_of(const TrainConfig& config) {
  const std::string_view name = config.aug.empty() ? augment_recipes().front().name : config.aug;
  const auto found =
      std::ranges::find_if(augment_recipes(), [&](const auto& recipe) { return recipe.name == name; });
  check(found != augment_recipes().end(), "--aug: unknown recipe '{}'", name);
  return found->options;
}

}  // namespace

std::span<const AugmentRecipe> augment_recipes() {
  static const std::array<AugmentRecipe, 3> all = {AugmentRecipe{"mocov2", {}}, AugmentRecipe{"byol", byol()},
                                                   AugmentRecipe{"none", none()}};
  return all;
}

void fill_augmentation(TrainConfig& config) {
  const AugmentOptions& recipe = recipe_of(config);
  if (config.aug.empty()) config.aug = augment_recipes().front().name;
  for (const auto& [setting, option] : kNumbers)
    if (!(config.*setting)) config.*setting = PerView{recipe.*option, recipe.of_view(1).*option};
  for (const auto& [setting, option] : kRanges)
    if (!(config.*setting)) config.*setting = recipe.*option;
  if (!config.solarize_threshold) config.solarize_threshold = recipe.solarize_threshold;
}

void forget_augmentation(TrainConfig& config) {
  config.aug.clear();
  for (const auto& [setting, option] : kNumbers) (config.*setting).reset();
  for (const auto& [setting, option] : kRanges) (config.*setting).reset();
  config.solarize_threshold.reset();
}

AugmentOptions augment_options(const TrainConfig& config) {
  TrainConfig filled = config;
  fill_augmentation(filled);
  AugmentOptions options;
  options.image_size = filled.image_size;
  ViewOptions key;
  for (const auto& [setting, option] : kNumbers) {
    options.*option = (filled.*setting)->query;
    key.*option = (filled.*setting)->key;
  }
  for (const auto& [setting, option] : kRanges) options.*option = key.*option = *(filled.*setting);
  options.solarize_threshold = key.solarize_threshold = static_cast<int>(*filled.solarize_threshold);
  options.key = key;
  return options;
}

std::string augmentation_text(const TrainConfig& config) {
  TrainConfig own = config;
  fill_augmentation(own);
  TrainConfig recipe;
  recipe.aug = own.aug;
  fill_augmentation(recipe);
  std::string text = own.aug;
  for (const auto& field : config_fields()) {
    if (field.group != kAugmentation) continue;
    const std::string value = field_text(own, field);
    if (value != field_text(recipe, field)) text += fmt::format(", --{} {}", field.name, value);
  }
  return text;
}

}  // namespace dcl::densecl
