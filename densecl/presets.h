// Named recipes: the authors' configurations (github.com/WXinlong/DenseCL, configs/selfsup/densecl) under
// their names, and the same without the dense half for MoCo-v2.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "densecl/config.h"

namespace dcl::densecl {

struct Preset {
  std::string name;
  std::string help;
  std::vector<Setting> settings;
};

std::span<const Preset> presets();
/// The layer of a preset. Throws, suggesting the nearest, when there is none of that name.
SettingLayer preset_layer(const std::string& name);

}  // namespace dcl::densecl
