#include "apps/support/flags.h"

#include "apps/support/cli11.h"
#include "apps/support/config_file.h"
#include "apps/support/field_flags.h"
#include "apps/support/version.h"
#include "densecl/config_fields.h"
#include "densecl/presets.h"
#include "tensor/check.h"

namespace dcl::apps {

namespace {

using densecl::TrainConfig;

constexpr const char* kPurpose =
    "Pre-trains a ResNet with DenseCL or MoCo-v2 from a folder of pictures.\n"
    "A flag counts before --config, that before --preset, that before the default.";

constexpr const char* kSettings = "Recipes and settings";

struct Given {
  FieldFlags fields;
  std::string preset;
  std::string config;
  bool version = false;
};

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
  for (const auto& field : densecl::config_fields()) given.fields.add(app, field);
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
  densecl::apply(config, given.fields.given(app));
  return config;
}

}  // namespace dcl::apps
