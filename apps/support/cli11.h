// What every program does with CLI11 in the same way. CLI11 costs seconds to compile: only the files that
// read command lines include this.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "densecl/config_fields.h"
#include "tensor/check.h"

namespace dcl::apps {

/// Throws one line about the first argument that nobody asked for: an unknown flag, with the known one that
/// looks most like it, or a word too many. Needs app.allow_extras().
inline void check_extras(const CLI::App& app) {
  const std::vector<std::string> rest = app.remaining();
  if (rest.empty()) return;
  const auto flag =
      std::ranges::find_if(rest, [](const auto& text) { return text.size() > 1 && text[0] == '-'; });
  if (flag == rest.end()) fail("unexpected argument '{}'", rest.front());
  std::vector<std::string> known;
  for (const auto* option : app.get_options())
    for (const auto& name : option->get_lnames()) known.push_back("--" + name);
  const std::string name = flag->substr(0, flag->find('='));
  fail("unknown flag {}{}", name, densecl::did_you_mean(name, known));
}

/// Parses, and throws one line for whatever CLI11 does not understand. --help and --version pass as
/// CLI::Success.
inline void parse(CLI::App& app, int argc, const char* const* argv) {
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success&) {
    throw;
  } catch (const CLI::ArgumentMismatch& error) {
    const std::string what = error.what();
    fail("{}: expected a value", what.substr(0, what.find_first_of(": ")));
  } catch (const CLI::RequiredError& error) {
    check_extras(app);  // a flag that is misspelt says more than what is missing for it
    fail("{}", error.what());
  } catch (const CLI::ParseError& error) {
    std::string text = error.what();
    std::ranges::replace(text, '\n', ' ');
    fail("{}", text);
  }
  check_extras(app);
}

}  // namespace dcl::apps
