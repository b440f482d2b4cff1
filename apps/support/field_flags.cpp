#include "apps/support/field_flags.h"

#include "densecl/augment_config.h"

namespace dcl::apps {

namespace {

using densecl::ConfigField;
using densecl::TrainConfig;

const char* type_name(const ConfigField& field) {
  if (field.holds<std::string>()) return "TEXT";
  if (field.holds<double>()) return "NUMBER";
  if (field.holds<std::vector<std::int64_t>>()) return "N,N,...";
  if (field.holds<std::optional<densecl::PerView>>()) return "P[,P]";
  if (field.holds<std::optional<data::Range>>()) return "LOW,HIGH";
  return "N";
}

// The value under a recipe of augmentation.
std::string value_in(std::string_view recipe, const ConfigField& field) {
  TrainConfig config;
  config.aug = recipe;
  fill_augmentation(config);
  return field_text(config, field);
}

// " [byol: 1,0.1; none: 0]": the recipes that differ from the default one.
std::string other_recipes(const ConfigField& field) {
  std::string text;
  if (field.group != densecl::kAugmentation || field.name == "aug") return text;
  for (const auto& recipe : densecl::augment_recipes()) {
    const std::string value = value_in(recipe.name, field);
    if (value != value_in("", field))
      text += fmt::format("{}{}: {}", text.empty() ? " [" : "; ", recipe.name, value);
  }
  return text.empty() ? text : text + "]";
}

}  // namespace

void FieldFlags::add(CLI::App& app, const ConfigField& field) {
  fields_.push_back(&field);
  const std::string name(field.name);
  const std::string help = std::string(field.help) + other_recipes(field);
  if (name == "data") {
    app.add_option("data", values_[name], help)->type_name("FOLDER");
    return;
  }
  std::string flags = field.short_name.empty() ? "" : "-" + std::string(field.short_name) + ",";
  flags += "--" + name;
  if (field.holds<bool>()) {
    app.add_flag(flags, switches_[name], help + " [off]")
        ->group(std::string(field.group))
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
    return;
  }
  app.add_option(flags, values_[name], help)
      ->type_name(type_name(field))
      ->default_str(value_in("", field))
      ->group(std::string(field.group))
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
}

densecl::SettingLayer FieldFlags::given(const CLI::App& app) const {
  densecl::SettingLayer layer;
  for (const ConfigField* field : fields_) {
    const std::string name(field->name);
    if (app.get_option(name == "data" ? name : "--" + name)->count() == 0) continue;
    const bool is_switch = field->holds<bool>();
    layer.settings.emplace_back(name, is_switch ? (switches_.at(name) ? "true" : "false") : values_.at(name));
  }
  return layer;
}

}  // namespace dcl::apps
