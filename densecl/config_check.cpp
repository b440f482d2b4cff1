// Which configurations can run.
#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>

#include "data/open_source.h"
#include "densecl/augment_config.h"
#include "densecl/config.h"
#include "densecl/config_fields.h"
#include "nn/resnet.h"
#include "tensor/check.h"
#include "tensor/device.h"

namespace dcl::densecl {

namespace {

void check_range(const ConfigField& field, double value, const std::string& text) {
  check(std::isfinite(value), "--{}: {} is not a finite number", field.name, text);
  check(field.range.contains(value), "--{}: {} is out of range, expected {}", field.name, text,
        field.range.str());
}

void check_ranges(const TrainConfig& config) {
  for (const auto& field : config_fields()) {
    const std::string text = field_text(config, field);
    const auto values = field_values(config, field);
    for (const double value : values) check_range(field, value, text);
    if (field.holds<std::optional<data::Range>>() && !values.empty())
      check(values[0] <= values[1], "--{}: {} begins above its end, expected LOW,HIGH", field.name, text);
  }
}

void check_choice(const char* flag, const std::string& value, std::span<const std::string> choices) {
  if (std::find(choices.begin(), choices.end(), value) != choices.end()) return;
  std::string all;
  for (const auto& choice : choices) all += (all.empty() ? "" : ", ") + choice;
  const std::string nearest = did_you_mean(value, choices);
  fail("--{}: unknown {} '{}'{}{}", flag, flag, value, nearest,
       nearest.empty() ? fmt::format(", expected one of {}", all) : "");
}

void check_choices(const TrainConfig& config) {
  check_choice("data-format", config.data_format,
               std::vector<std::string>(data::kSourceFormats.begin(), data::kSourceFormats.end()));
  check_choice("method", config.method, std::array<std::string, 2>{"densecl", "mocov2"});
  check_choice("arch", config.arch, nn::resnet_names());
  std::vector<std::string> recipes;
  for (const auto& recipe : augment_recipes()) recipes.emplace_back(recipe.name);
  if (!config.aug.empty()) check_choice("aug", config.aug, recipes);
  check_choice("on-bad-image", config.on_bad_image, std::array<std::string, 2>{"replace", "stop"});
  check_choice("device", config.device, std::array<std::string, 3>{"auto", "cpu", "cuda"});
  check(tensor::has_cuda || config.device != "cuda",
        "--device cuda: this build has no CUDA backend, expected auto or cpu");
  if (config.device == "cuda") tensor::check_device("--device cuda", tensor::device_named(config.device));
  check_choice("cuda-graph", config.cuda_graph, std::array<std::string, 3>{"auto", "on", "off"});
  if (config.cuda_graph == "on") {
    check(config.skip_nonfinite == 0,
          "--cuda-graph on: --skip-nonfinite {} looks at the gradients before each update, expected 0",
          config.skip_nonfinite);
    check(!config.profile, "--cuda-graph on: --profile tells ops apart, expected no --profile");
  }
  check_choice("precision", config.precision, std::array<std::string, 3>{"fp32", "bf16", "fp64"});
  check(config.precision != "fp64", "--precision fp64: training is in fp32 or bf16");
}

// Views can be finished where they are used, or on the CPU.
void check_aug_device(const TrainConfig& config) {
  check_choice("aug-device", config.aug_device, std::array<std::string, 2>{"cpu", "cuda"});
  if (config.aug_device != "cuda") return;
  check(config.device != "cpu", "--aug-device cuda: training is on the CPU (--device cpu), expected cpu");
  check(tensor::has_cuda, "--aug-device cuda: this build has no CUDA backend, expected cpu");
}

// Batch norm in training needs two values a channel; the last stage has the fewest.
void check_batch_norm(const TrainConfig& config) {
  const std::int64_t part = config.batch_size / config.accumulate;
  const std::string pictures = config.accumulate == 1
                                   ? fmt::format("--batch-size {}", config.batch_size)
                                   : fmt::format("a part of {} pictures (--batch-size {} / --accumulate {})",
                                                 part, config.batch_size, config.accumulate);
  check(part % config.bn_groups == 0, "--bn-groups {} does not divide {}", config.bn_groups, pictures);
  const std::int64_t side = (config.image_size + 31) / 32;
  check(part / config.bn_groups * side * side > 1,
        "--batch-size {}: batch norm would see one value a channel in the last stage (--image-size {}, "
        "--bn-groups {}, --accumulate {}), expected at least two",
        config.batch_size, config.image_size, config.bn_groups, config.accumulate);
}

}  // namespace

void check_config(const TrainConfig& config) {
  check(!config.data.empty(), "the folder of pictures is missing: densecl_train FOLDER");
  check_choices(config);
  check_aug_device(config);
  check_ranges(config);
  check(config.batch_size <= config.moco_k, "--batch-size {} is larger than the queue (--moco-k {})",
        config.batch_size, config.moco_k);
  check(config.batch_size % config.accumulate == 0, "--accumulate {} does not divide --batch-size {}",
        config.accumulate, config.batch_size);
  check_batch_norm(config);
  check(config.warmup_epochs <= config.epochs, "--warmup-epochs {} is more than --epochs {}",
        config.warmup_epochs, config.epochs);
  check(config.resume.empty() || !config.overwrite, "--resume and --overwrite exclude each other");
}

void check_against_set(const TrainConfig& config, std::int64_t pictures) {
  check(config.batch_size <= pictures, "--batch-size {} is larger than the set: {} holds {} pictures",
        config.batch_size, config.data, pictures);
}

}  // namespace dcl::densecl
