// The flags of densecl_train, made from the table of settings, and the order in which flags, --config,
// --preset and defaults count.
#pragma once

#include <optional>
#include <string>

#include "densecl/config.h"

namespace dcl::apps {

/// Reads a command line. Returns nothing when it only asked for --help or --version, whose text is then in
/// `*answer`. Throws one line for anything that cannot be understood.
std::optional<densecl::TrainConfig> parse_train_flags(int argc, const char* const* argv, std::string* answer);

}  // namespace dcl::apps
