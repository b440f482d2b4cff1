// The table of all settings: one row gives a setting its flag, its TOML key, its help, its range and its part
// in a resume.
#pragma once

#include <limits>
#include <span>
#include <string_view>
#include <variant>

#include "densecl/config.h"

namespace dcl::densecl {

/// What a resumed run may change.
enum class Role : std::uint8_t {
  place,     // where things lie; not part of the run
  identity,  // must be that of the checkpoint
  recipe,    // may change, which is then said
  running,   // does not change what is computed
};

struct Range {
  double low = -std::numeric_limits<double>::infinity();
  double high = std::numeric_limits<double>::infinity();
  bool above_low = false;   // low itself is out
  bool below_high = false;  // high itself is out
  bool contains(double value) const;
  /// "0 to 1", "1 or more", "more than 0"
  std::string str() const;
};

using Member = std::variant<std::int64_t TrainConfig::*, std::optional<std::int64_t> TrainConfig::*,
                            double TrainConfig::*, bool TrainConfig::*, std::string TrainConfig::*,
                            std::vector<std::int64_t> TrainConfig::*, std::optional<PerView> TrainConfig::*,
                            std::optional<data::Range> TrainConfig::*>;

/// The group of the settings that make up a view.
inline constexpr std::string_view kAugmentation = "Augmentation";

struct ConfigField {
  std::string_view name;        // of the flag: "batch-size"; the TOML key has underscores
  std::string_view short_name;  // "b", or empty
  std::string_view group;       // of --help
  std::string_view help;
  Member member;
  Role role = Role::recipe;
  Range range = {};  // of each of its numbers

  /// Whether its type in TrainConfig is this.
  template <class Type>
  bool holds() const {
    return std::holds_alternative<Type TrainConfig::*>(member);
  }
};

/// All of them, in the order of --help and of saved files.
std::span<const ConfigField> config_fields();
/// Null when there is none; underscores are as good as dashes.
const ConfigField* find_field(std::string_view name);

/// Reads `text` into the field. Throws with what is wrong with the text, without naming the field.
void set_field(TrainConfig& config, const ConfigField& field, const std::string& text);
/// The value as it would stand on a command line; reading it gives the same value again. Empty when unset.
std::string field_text(const TrainConfig& config, const ConfigField& field);

/// The numbers of a setting that has some.
std::vector<double> field_values(const TrainConfig& config, const ConfigField& field);

/// ", did you mean NAME?" for the candidate nearest to `name`, or nothing when none is near.
std::string did_you_mean(std::string_view name, std::span<const std::string> candidates);

}  // namespace dcl::densecl
