#include "densecl/presets.h"

#include <algorithm>

#include "densecl/config_fields.h"
#include "tensor/check.h"

namespace dcl::densecl {

namespace {

// What all configurations of the authors share. They trained on 8 GPUs with 32 pictures each, so batch norm
// saw 32 at a time: bn-groups 8.
std::vector<Setting> authors(std::vector<Setting> own) {
  std::vector<Setting> all = {{"arch", "resnet50"},    {"image-size", "224"},  {"moco-dim", "128"},
                              {"moco-k", "65536"},     {"moco-m", "0.999"},    {"moco-t", "0.2"},
                              {"neck-hidden", "2048"}, {"loss-lambda", "0.5"}, {"lambda-warmup", "0"},
                              {"batch-size", "256"},   {"bn-groups", "8"},     {"momentum", "0.9"},
                              {"wd", "0.0001"},        {"cos", "true"},        {"warmup-epochs", "0"},
                              {"seed", "0"},           {"workers", "4"},       {"print-freq", "50"}};
  all.insert(all.end(), own.begin(), own.end());
  return all;
}

std::vector<Setting> coco(const char* method) {
  return authors({{"method", method}, {"lr", "0.3"}, {"epochs", "800"}, {"save-freq", "40"}});
}

std::vector<Setting> imagenet(const char* method) {
  return authors({{"method", method}, {"lr", "0.03"}, {"epochs", "200"}, {"save-freq", "10"}});
}

}  // namespace

std::span<const Preset> presets() {
  static const std::vector<Preset> all = {
      {"densecl_coco_800ep", "DenseCL on COCO, 800 epochs", coco("densecl")},
      {"densecl_coco_lmdb_800ep", "the same; the authors read an LMDB", coco("densecl")},
      {"densecl_imagenet_200ep", "DenseCL on ImageNet, 200 epochs", imagenet("densecl")},
      {"densecl_imagenet_lmdb_200ep", "the same; the authors read an LMDB", imagenet("densecl")},
      {"mocov2_coco_800ep", "MoCo-v2 on COCO, 800 epochs", coco("mocov2")},
      {"mocov2_imagenet_200ep", "MoCo-v2 on ImageNet, 200 epochs", imagenet("mocov2")}};
  return all;
}

SettingLayer preset_layer(const std::string& name) {
  const auto found =
      std::find_if(presets().begin(), presets().end(), [&](const Preset& p) { return p.name == name; });
  if (found != presets().end()) return {"--preset " + name, found->settings};
  std::vector<std::string> names;
  for (const auto& preset : presets()) names.push_back(preset.name);
  std::string all;
  for (const auto& each : names) all += (all.empty() ? "" : ", ") + each;
  const std::string nearest = did_you_mean(name, names);
  fail("--preset: unknown preset '{}'{}", name,
       nearest.empty() ? fmt::format(", expected one of {}", all) : nearest);
}

}  // namespace dcl::densecl
