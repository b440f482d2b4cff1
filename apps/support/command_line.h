// The command lines of the small programs, tools and benchmarks; CLI11 reads them, in one translation unit.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "densecl/config.h"
#include "densecl/config_fields.h"

namespace dcl::apps {

/// Exit statuses that every program of the house shares.
inline constexpr int kFailed = 1;
inline constexpr int kUsedWrongly = 2;

/// Declares what a program takes, reads it, and turns whatever goes wrong into one line on standard error
/// that starts with the program's name. The variables given have to outlive run(); what they hold is the
/// default, and --help shows it.
class CommandLine {
 public:
  /// `program`: its name, as in messages. `version`: what --version prints; without it there is no such flag.
  CommandLine(const std::string& program, const std::string& purpose,
              const std::function<std::string()>& version = nullptr);
  ~CommandLine();
  CommandLine(const CommandLine&) = delete;
  CommandLine& operator=(const CommandLine&) = delete;

  /// Arguments without a flag, all of them required; the second takes one or more.
  void positional(const std::string& name, std::string& value, const std::string& help);
  void positional(const std::string& name, std::vector<std::string>& values, const std::string& help);

  void option(const std::string& flag, std::string& value, const std::string& help);
  /// A whole decimal number from `low` to `high`. Of a flag that is given twice the last counts.
  void option(const std::string& flag, std::int64_t& value, const std::string& help, std::int64_t low,
              std::int64_t high);
  void option(const std::string& flag, int& value, const std::string& help, int low, int high);
  void option(const std::string& flag, bool& value, const std::string& help);
  /// One of the words of `meaning`, which says what `value` becomes for each.
  void choice(const std::string& flag, std::string& value, const std::string& help,
              const std::map<std::string, std::string>& meaning);

  /// The flag of a training setting; settings() has what was given of them once the line is read.
  void setting(const densecl::ConfigField& field);
  densecl::SettingLayer settings() const;

  /// A check of the values together; what it throws is a wrong use of the program.
  void check(std::function<void()> values);

  /// Reads the command line, then runs `body` and returns its exit status. Returns 0 for --help and
  /// --version, kUsedWrongly for what cannot be understood, and `failed` when `body` throws.
  int run(int argc, const char* const* argv, const std::function<int()>& body, int failed = kFailed);

 private:
  struct Parser;
  std::unique_ptr<Parser> parser_;
};

}  // namespace dcl::apps
