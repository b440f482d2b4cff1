// Flags made from the table of settings (densecl/config_fields.h), for every program that takes some of them.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "apps/support/cli11.h"
#include "densecl/config.h"
#include "densecl/config_fields.h"

namespace dcl::apps {

/// Has to outlive the parsing. CLI11 only splits the command line; densecl::apply() reads the values.
class FieldFlags {
 public:
  /// Declares the flag of a setting, with its group, help and default; "data" as an argument without flag.
  void add(CLI::App& app, const densecl::ConfigField& field);
  /// What the parsed command line gave, as the layer of flags.
  densecl::SettingLayer given(const CLI::App& app) const;

 private:
  std::vector<const densecl::ConfigField*> fields_;
  std::map<std::string, std::string> values_;
  std::map<std::string, bool> switches_;
};

}  // namespace dcl::apps
