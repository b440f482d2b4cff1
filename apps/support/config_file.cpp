#include "apps/support/config_file.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <optional>
#include <sstream>

#include <toml++/toml.h>

#include "densecl/config_fields.h"
#include "tensor/check.h"

namespace dcl::apps {

namespace {

using densecl::ConfigField;
using densecl::TrainConfig;

std::string read_text(const std::string& path) {
  errno = 0;
  std::ifstream in(path, std::ios::binary);
  check(in.is_open(), "--config: {}: {}", path, std::strerror(errno));
  std::stringstream text;
  text << in.rdbuf();
  check(!in.bad() && !in.fail(), "--config: {}: cannot be read", path);
  return text.str();
}

toml::table parse(std::string_view text, const std::string& source) {
  try {
    return toml::parse(text, source);
  } catch (const toml::parse_error& error) {
    std::string what(error.description());
    std::replace(what.begin(), what.end(), '\n', ' ');
    fail("{}: line {}: {}", source, error.source().begin.line, what);
  }
}

std::string integer_text(const toml::node& node, const char* expected) {
  const auto value = node.value_exact<std::int64_t>();
  check(value.has_value(), "expected {}", expected);
  return fmt::format("{}", *value);
}

std::string number_text(const toml::node& node, const char* expected) {
  if (const auto value = node.value_exact<double>()) return fmt::format("{}", *value);
  return integer_text(node, expected);
}

using ReadElement = std::string (*)(const toml::node& node, const char* expected);

// "120,160"; `expected` says what the list should be.
std::string list_text(const toml::node& node, const char* expected, ReadElement element) {
  const toml::array* array = node.as_array();
  check(array != nullptr, "expected {}", expected);
  std::string text;
  for (const auto& each : *array) text += (text.empty() ? "" : ",") + element(each, expected);
  return text;
}

// The value as it would stand on a command line.
std::string value_text(const toml::node& node, const ConfigField& field) {
  if (field.holds<std::string>()) {
    const auto value = node.value_exact<std::string>();
    check(value.has_value(), "expected a string");
    return *value;
  }
  if (field.holds<bool>()) {
    const auto value = node.value_exact<bool>();
    check(value.has_value(), "expected true or false");
    return *value ? "true" : "false";
  }
  if (field.holds<double>()) return number_text(node, "a number");
  if (field.holds<std::vector<std::int64_t>>())
    return list_text(node, "a list of whole numbers", integer_text);
  if (field.holds<std::optional<data::Range>>()) return list_text(node, "a list of two numbers", number_text);
  if (field.holds<std::optional<densecl::PerView>>()) {
    const char* expected = "a number or a list of two, one a view";
    return node.is_array() ? list_text(node, expected, number_text) : number_text(node, expected);
  }
  return integer_text(node, "a whole number");
}

}  // namespace

densecl::SettingLayer parse_config(std::string_view text, const std::string& source) {
  densecl::SettingLayer layer{source, {}};
  const toml::table table = parse(text, source);
  for (const auto& [key, node] : table) {
    const std::string name(key.str());
    const ConfigField* field = densecl::find_field(name);
    try {
      // An unknown key goes through as it is: apply() refuses it and suggests the nearest.
      layer.settings.emplace_back(name, field == nullptr ? "" : value_text(node, *field));
    } catch (const Error& error) {
      fail("{}: line {}: {}: {}", source, node.source().begin.line, name, error.what());
    }
  }
  return layer;
}

densecl::SettingLayer read_config_file(const std::string& path) {
  return parse_config(read_text(path), path);
}

}  // namespace dcl::apps
