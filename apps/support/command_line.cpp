#include "apps/support/command_line.h"

#include <algorithm>
#include <exception>
#include <utility>

#include <CLI/CLI.hpp>
#include <fmt/core.h>

#include "densecl/config_fields.h"

namespace dcl::apps {

struct CommandLine::Parser {
  CLI::App app;
  std::vector<std::function<void()>> checks;
};

namespace {

std::vector<std::string> known_flags(const CLI::App& app) {
  std::vector<std::string> names;
  for (const auto* option : app.get_options())
    for (const auto& name : option->get_lnames()) names.push_back("--" + name);
  return names;
}

// CLI11's messages can have a second line with a hint; one line is what a caller can show.
std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

int complain(const CLI::App& app, const std::string& line, int status) {
  fmt::print(stderr, "{}: {}\n", app.get_name(), first_line(line));
  return status;
}

}  // namespace

CommandLine::CommandLine(const std::string& program, const std::string& purpose, const std::string& version)
    : parser_(std::make_unique<Parser>()) {
  parser_->app.name(program);
  parser_->app.description(purpose);
  parser_->app.option_defaults()->always_capture_default();
  if (!version.empty()) parser_->app.set_version_flag("--version", version);
}

CommandLine::~CommandLine() = default;

void CommandLine::positional(const std::string& name, std::string& value, const std::string& help) {
  parser_->app.add_option(name, value, help)->required();
}

void CommandLine::positional(const std::string& name, std::vector<std::string>& values,
                             const std::string& help) {
  parser_->app.add_option(name, values, help)->required();
}

void CommandLine::option(const std::string& flag, std::string& value, const std::string& help) {
  parser_->app.add_option(flag, value, help);
}

void CommandLine::option(const std::string& flag, std::int64_t& value, const std::string& help,
                         std::int64_t low, std::int64_t high) {
  parser_->app.add_option(flag, value, help)->check(CLI::Range(low, high));
}

void CommandLine::option(const std::string& flag, int& value, const std::string& help, int low, int high) {
  parser_->app.add_option(flag, value, help)->check(CLI::Range(low, high));
}

void CommandLine::option(const std::string& flag, bool& value, const std::string& help) {
  parser_->app.add_flag(flag, value, help);
}

void CommandLine::choice(const std::string& flag, std::string& value, const std::string& help,
                         const std::map<std::string, std::string>& meaning) {
  std::vector<std::string> words;
  for (const auto& [word, means] : meaning) words.push_back(word);
  parser_->app.add_option(flag, value, help)->check(CLI::IsMember(words));
  check([&value, meaning] { value = meaning.at(value); });
}

void CommandLine::check(std::function<void()> values) { parser_->checks.push_back(std::move(values)); }

int CommandLine::run(int argc, const char* const* argv, const std::function<int()>& body, int failed) {
  CLI::App& app = parser_->app;
  try {
    app.parse(argc, argv);
    for (const auto& check : parser_->checks) check();
  } catch (const CLI::Success& answer) {  // --help, --version
    return app.exit(answer);
  } catch (const CLI::ExtrasError&) {
    return complain(app, unexpected_arguments(app.remaining(), known_flags(app)), kUsedWrongly);
  } catch (const std::exception& error) {
    return complain(app, error.what(), kUsedWrongly);
  }
  try {
    return body();
  } catch (const std::exception& error) {
    return complain(app, error.what(), failed);
  }
}

std::string unexpected_arguments(std::span<const std::string> rest, std::span<const std::string> known) {
  const auto flag =
      std::ranges::find_if(rest, [](const auto& text) { return text.size() > 1 && text[0] == '-'; });
  if (flag == rest.end()) return fmt::format("unexpected argument '{}'", rest.front());
  const std::string name = flag->substr(0, flag->find('='));
  return fmt::format("unknown flag {}{}", name, densecl::did_you_mean(name, known));
}

}  // namespace dcl::apps
