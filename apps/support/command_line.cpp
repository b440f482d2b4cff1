#include "apps/support/command_line.h"

#include <charconv>
#include <exception>
#include <iostream>
#include <utility>

#include "apps/support/cli11.h"
#include "apps/support/field_flags.h"
#include "tensor/cpu/features.h"

namespace dcl::apps {

struct CommandLine::Parser {
  CLI::App app;
  FieldFlags fields;
  std::vector<std::function<void()>> checks;
};

namespace {

template <class T>
T parse_number(const std::string& flag, const std::string& text, T low, T high) {
  T value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool whole = end == text.data() + text.size() && error != std::errc::invalid_argument;
  dcl::check(whole, "{}: '{}' is not a whole number", flag, text);
  dcl::check(error == std::errc() && low <= value && value <= high,
             "{}: {} is out of range, expected {} to {}", flag, text, low, high);
  return value;
}

template <class T>
void add_number(CLI::App& app, const std::string& flag, T& value, const std::string& help, T low, T high) {
  app.add_option_function<std::string>(
         flag, [=, &value](const std::string& text) { value = parse_number(flag, text, low, high); }, help)
      ->type_name(fmt::format("{}..{}", low, high))
      ->default_str(fmt::format("{}", value));
}

// Streams, unlike fmt, do not throw where nobody can read.
int complain(const CLI::App& app, const std::exception& error, int status) {
  std::cerr << app.get_name() << ": " << error.what() << '\n';
  return status;
}

}  // namespace

CommandLine::CommandLine(const std::string& program, const std::string& purpose,
                         const std::function<std::string()>& version)
    : parser_(std::make_unique<Parser>()) {
  CLI::App& app = parser_->app;
  app.name(program);
  app.description(purpose);
  app.allow_extras();  // looked at by parse()
  app.option_defaults()->always_capture_default()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  if (version) app.set_version_flag("--version", version);
}

CommandLine::~CommandLine() = default;

void CommandLine::positional(const std::string& name, std::string& value, const std::string& help) {
  parser_->app.add_option(name, value, help)->required();
}

void CommandLine::positional(const std::string& name, std::vector<std::string>& values,
                             const std::string& help) {
  parser_->app.add_option(name, values, help)
      ->required()
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
}

void CommandLine::option(const std::string& flag, std::string& value, const std::string& help) {
  parser_->app.add_option(flag, value, help);
}

void CommandLine::option(const std::string& flag, std::int64_t& value, const std::string& help,
                         std::int64_t low, std::int64_t high) {
  add_number(parser_->app, flag, value, help, low, high);
}

void CommandLine::option(const std::string& flag, int& value, const std::string& help, int low, int high) {
  add_number(parser_->app, flag, value, help, low, high);
}

void CommandLine::option(const std::string& flag, bool& value, const std::string& help) {
  parser_->app.add_flag(flag, value, help);
}

void CommandLine::choice(const std::string& flag, std::string& value, const std::string& help,
                         const std::map<std::string, std::string>& meaning) {
  std::string words;
  for (const auto& [word, means] : meaning) words += (words.empty() ? "" : ", ") + word;
  parser_->app
      .add_option_function<std::string>(
          flag,
          [&value, flag, meaning, words](const std::string& word) {
            const auto found = meaning.find(word);
            dcl::check(found != meaning.end(), "{}: '{}' is unknown, expected one of {}", flag, word, words);
            value = found->second;
          },
          help)
      ->type_name("WORD")
      ->default_str(value);
}

void CommandLine::setting(const densecl::ConfigField& field) { parser_->fields.add(parser_->app, field); }

densecl::SettingLayer CommandLine::settings() const { return parser_->fields.given(parser_->app); }

void CommandLine::check(std::function<void()> values) { parser_->checks.push_back(std::move(values)); }

int CommandLine::run(int argc, const char* const* argv, const std::function<int()>& body, int failed) {
  CLI::App& app = parser_->app;
  try {
    parse(app, argc, argv);
    for (const auto& check : parser_->checks) check();
    tensor::cpu::check_cpu_environment();
  } catch (const CLI::Success& answer) {  // --help, --version
    return app.exit(answer);
  } catch (const std::exception& error) {
    return complain(app, error, kUsedWrongly);
  }
  try {
    return body();
  } catch (const std::exception& error) {
    return complain(app, error, failed);
  }
}

}  // namespace dcl::apps
