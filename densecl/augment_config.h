// The augmentation of a run: recipes by name, and the settings that change them.
#pragma once

#include <span>
#include <string_view>

#include "data/augment.h"
#include "densecl/config.h"

namespace dcl::densecl {

struct AugmentRecipe {
  std::string_view name;  // of --aug
  data::AugmentOptions options;
};

/// mocov2 (the default), byol and none.
std::span<const AugmentRecipe> augment_recipes();

/// What the loader draws from: config.aug's recipe with the values that `config` has of its own; its
/// image_size. Throws for an unknown recipe.
data::AugmentOptions augment_options(const TrainConfig& config);

/// Names the recipe and gives every value that is open the recipe's. Throws for an unknown recipe.
void fill_augmentation(TrainConfig& config);
/// Leaves the recipe and all of its values open.
void forget_augmentation(TrainConfig& config);

/// "mocov2", or with what differs from the recipe: "byol, --blur-prob 0.5".
std::string augmentation_text(const TrainConfig& config);

}  // namespace dcl::densecl
