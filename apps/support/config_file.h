// A TOML file as a layer of settings. Keys are the flags' names with underscores; tables are not used.
#pragma once

#include <string>
#include <string_view>

#include "densecl/config.h"

namespace dcl::apps {

/// Throws one line, naming the file and the place, where it cannot be read, is not TOML, has a key that is
/// unknown (suggesting the nearest) or a value of another type than the setting's.
densecl::SettingLayer read_config_file(const std::string& path);
/// The same from memory; `source` stands for the file's name.
densecl::SettingLayer parse_config(std::string_view text, const std::string& source);

}  // namespace dcl::apps
