#include "apps/support/flags.h"

#include <map>

#include "apps/support/cli11.h"
#include "apps/support/config_file.h"
#include "apps/support/version.h"
#include "densecl/config_fields.h"
#include "densecl/presets.h"
#include "tensor/check.h"

namespace dcl::apps {

namespace {

using densecl::ConfigField;
using densecl::TrainConfig;

constexpr const char* kPurpose =
    "Pre-trains a ResNet with DenseCL or MoCo-v2 from a folder of pictures.\n"
    "A flag counts before --config, that before --preset, that before the default.";

constexpr const char* kSettings = "Recipes and settings";

// What the flags said, as text; CLI11 only splits the command line.
struct Given {
  std::map<std::string, std::string> values;
  std::map<std::string, bool> switches;
  std::string preset;
  std::string config;
  bool version = false;
};

bool is_switch(const ConfigField& field) { return std::holds_alternative<bool TrainConfig::*>(field.member); }

const char* type_name(const ConfigField& field) {
  if (std::holds_alternative<std::string TrainConfig::*>(field.member)) return "TEXT";
  if (std::holds_alternative<double TrainConfig::*>(field.member)) return "NUMBER";
  if (std::holds_alternative<std::vector<std::int64_t> TrainConfig::*>(field.member)) return "N,N,...";
  return "N";
}

void add_field(CLI::App& app, Given& given, const ConfigField& field) {
  const std::string name(field.name);
  const std::string help(field.help);
  if (name == "data") {
    app.add_option("data", given.values[name], help)->type_name("FOLDER");
    return;
  }
  std::string flags = field.short_name.empty() ? "" : "-" + std::string(field.short_name) + ",";
  flags += "--" + name;
  if (is_switch(field)) {
    app.add_flag(flags, given.switches[name], help + " [off]")
        ->group(std::string(field.group))
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
    return;
  }
  app.add_option(flags, given.values[name], help)
      ->type_name(type_name(field))
      ->default_str(densecl::field_text(TrainConfig{}, field))
      ->group(std::string(field.group))
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
}

void add_flags(CLI::App& app, Given& given) {
  app.allow_extras();  // looked at by parse()
  app.set_help_flag("-h,--help", "print this text");
  app.add_flag("--version", given.version, "print commit, compiler, BLAS and CUDA");
  std::string names;
  for (const auto& preset : densecl::presets()) names += (names.empty() ? "" : ", ") + preset.name;
  app.add_option("--preset", given.preset, "one of " + names)->type_name("NAME")->group(kSettings);
  app.add_option("--config", given.config, "TOML file of settings, such as a run's config.toml")
      ->type_name("FILE")
      ->group(kSettings);
  for (const auto& field : densecl::config_fields()) add_field(app, given, field);
}

densecl::SettingLayer flag_layer(const CLI::App& app, const Given& given) {
  densecl::SettingLayer layer;
  for (const auto& field : densecl::config_fields()) {
    const std::string name(field.name);
    if (app.get_option(name == "data" ? name : "--" + name)->count() == 0) continue;
    const bool off = is_switch(field) && !given.switches.at(name);
    layer.settings.emplace_back(name, is_switch(field) ? (off ? "false" : "true") : given.values.at(name));
  }
  return layer;
}

}  // namespace

std::optional<TrainConfig> parse_train_flags(int argc, const char* const* argv, std::string* answer) {
  CLI::App app(kPurpose, "densecl_train");
  Given given;
  add_flags(app, given);
  app.get_formatter()->column_width(34);
  try {
    parse(app, argc, argv);
  } catch (const CLI::CallForHelp&) {
    *answer = app.help();
    return std::nullopt;
  }
  if (given.version) {
    *answer = version_text("densecl_train");
    return std::nullopt;
  }
  TrainConfig config;
  if (app.count("--preset") > 0) densecl::apply(config, densecl::preset_layer(given.preset));
  if (app.count("--config") > 0) densecl::apply(config, read_config_file(given.config));
  densecl::apply(config, flag_layer(app, given));
  return config;
}

}  // namespace dcl::apps
