#include "densecl/config.h"

#include <algorithm>

#include "densecl/augment_config.h"
#include "densecl/config_fields.h"
#include "tensor/check.h"
#include "tensor/cpu/threads.h"

namespace dcl::densecl {

namespace {

// "--lr" on a command line, "FILE: lr" elsewhere.
std::string label(const SettingLayer& layer, const std::string& name) {
  return layer.source.empty() ? "--" + name : layer.source + ": " + name;
}

std::vector<std::string> field_names() {
  std::vector<std::string> names;
  for (const auto& field : config_fields()) names.emplace_back(field.name);
  return names;
}

std::string toml_key(std::string_view name) {
  std::string key(name);
  std::replace(key.begin(), key.end(), '-', '_');
  return key;
}

std::string toml_string(const std::string& text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      quoted += '\\';
      quoted += c;
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      quoted += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
    } else {
      quoted += c;
    }
  }
  return quoted + '"';
}

// TOML's numbers with a fraction need a point or an exponent.
std::string toml_number(double value) {
  const std::string text = fmt::format("{}", value);
  return text.find_first_of(".e") == std::string::npos ? text + ".0" : text;
}

std::string toml_value(const TrainConfig& config, const ConfigField& field) {
  std::string text = field_text(config, field);
  if (field.holds<std::string>()) return toml_string(text);
  if (field.holds<std::vector<std::int64_t>>()) return fmt::format("[{}]", text == "none" ? "" : text);
  const auto values = field_values(config, field);
  if (field.holds<double>()) return toml_number(values[0]);
  if (field.holds<std::optional<PerView>>() && values[0] == values[1]) return toml_number(values[0]);
  if (field.holds<std::optional<PerView>>() || field.holds<std::optional<data::Range>>())
    return fmt::format("[{}, {}]", toml_number(values[0]), toml_number(values[1]));
  return text;
}

// TOML has no word for that.
bool is_open(const TrainConfig& config, const ConfigField& field) {
  return !field.holds<std::string>() && field_text(config, field).empty();
}

}  // namespace

void apply(TrainConfig& config, const SettingLayer& layer) {
  TrainConfig changed = config;
  const bool has_recipe = std::ranges::any_of(layer.settings, [](const auto& s) { return s.first == "aug"; });
  if (has_recipe && !changed.aug.empty()) forget_augmentation(changed);
  bool has_cos = false;
  bool has_schedule = false;
  for (const auto& [name, text] : layer.settings) {
    const ConfigField* field = find_field(name);
    if (field == nullptr)
      fail("{} is unknown{}", label(layer, name), did_you_mean(toml_key(name), [] {
             auto names = field_names();
             for (auto& each : names) each = toml_key(each);
             return names;
           }()));
    try {
      set_field(changed, *field, text);
    } catch (const Error& error) {
      fail("{}: {}", label(layer, name), error.what());
    }
    has_cos = has_cos || (field->name == "cos" && changed.cos);
    has_schedule = has_schedule || field->name == "schedule";
  }
  check(!has_cos || !has_schedule || changed.schedule.empty(), "{}{}cos and schedule exclude each other",
        layer.source, layer.source.empty() ? "" : ": ");
  if (has_schedule && !has_cos) changed.cos = false;
  if (has_cos) changed.schedule.clear();
  config = std::move(changed);
}

TrainConfig resolved(TrainConfig config) {
  if (config.output_dir.empty())
    config.output_dir = fmt::format("work_dirs/{}_{}_{}", config.method, config.arch, config.seed);
  if (config.device == "auto") {
    const bool gpu = !tensor::cuda_is_emulated && tensor::why_unusable(tensor::device_named("cuda")).empty();
    config.device = gpu ? "cuda" : "cpu";
  }
  check(config.aug_device == "cpu" || config.device == "cuda",
        "--aug-device cuda: training is on the CPU (--device {}), expected cpu", config.device);
  check(config.cuda_graph != "on" || config.device == "cuda",
        "--cuda-graph on: training is on the CPU (--device {}), expected auto or off", config.device);
  if (config.threads == 0) config.threads = tensor::cpu::num_threads();
  if (config.cos) config.schedule.clear();
  fill_augmentation(config);
  return config;
}

std::string to_toml(const TrainConfig& config) {
  std::string text;
  std::string_view group;
  for (const auto& field : config_fields()) {
    if (field.name == "resume" || field.name == "overwrite" || field.name == "profile") continue;
    if (std::exchange(group, field.group) != field.group)
      text += fmt::format("{}# {}\n", text.empty() ? "" : "\n", field.group);
    if (is_open(config, field)) continue;
    text += fmt::format("{} = {}\n", toml_key(field.name), toml_value(config, field));
  }
  return text;
}

tensor::Device training_device(const TrainConfig& config) {
  return {config.device == "cuda" ? tensor::DeviceType::cuda : tensor::DeviceType::cpu};
}

ModelOptions model_options(const TrainConfig& config) {
  ModelOptions options;
  options.method = config.method == "mocov2" ? Method::mocov2 : Method::densecl;
  options.arch = config.arch;
  options.dim = config.moco_dim;
  options.hidden = config.neck_hidden;
  options.queue = config.moco_k;
  options.temperature = config.moco_t;
  options.momentum = config.moco_m;
  options.num_grid = config.num_grid;
  options.bn_groups = config.bn_groups;
  options.bfloat16 = config.precision == "bf16";
  options.options.device = training_device(config);
  return options;
}

optim::Schedule lr_schedule(const TrainConfig& config) {
  optim::Schedule schedule;
  using Kind = optim::Schedule::Kind;
  schedule.kind = config.cos ? Kind::cosine : config.schedule.empty() ? Kind::constant : Kind::step;
  schedule.base_lr = config.lr;
  schedule.epochs = config.epochs;
  schedule.milestones = config.schedule;
  schedule.warmup_epochs = config.warmup_epochs;
  return schedule;
}

tensor::SgdParams sgd_params(const TrainConfig& config) {
  tensor::SgdParams params;
  params.momentum = config.momentum;
  params.weight_decay = config.wd;
  return params;
}

}  // namespace dcl::densecl
