// densecl_scenes OUT --count N --seed S: draws a synthetic picture set in PASCAL VOC's layout.
#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <exception>

#include <CLI/CLI.hpp>
#include <fmt/core.h>

#include "apps/support/version.h"
#include "data/scenes/scene_set.h"
#include "densecl/config_fields.h"
#include "densecl/report/console.h"
#include "tensor/cpu/threads.h"

namespace {

using dcl::data::scenes::SceneSetOptions;
using dcl::densecl::report::Console;
using dcl::densecl::report::format_duration;

constexpr int kFailed = 1;
constexpr int kUsedWrongly = 2;

struct Arguments {
  std::string folder;
  std::string seed = "0";
  std::string size = "192x144";
  int threads = dcl::tensor::cpu::num_threads();
  SceneSetOptions set;
};

// CLI11 itself would wrap -1 around and cut off what does not fit.
std::uint64_t parse_seed(const std::string& text) {
  std::uint64_t seed = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seed);
  dcl::check(error == std::errc() && end == text.data() + text.size(),
             "--seed: \"{}\" is not a whole number from 0 to 18446744073709551615", text);
  return seed;
}

// "192x144"
void parse_size(const std::string& text, int& width, int& height) {
  int used = 0;
  // NOLINTNEXTLINE(cert-err34-c): all digits were used, and the range is checked where the scene is laid out
  const int values = std::sscanf(text.c_str(), "%5dx%5d%n", &width, &height, &used);
  dcl::check(values == 2 && static_cast<std::size_t>(used) == text.size(),
             "--size: \"{}\" is not WIDTHxHEIGHT, such as 192x144", text);
}

void check_arguments(Arguments& arguments) {
  dcl::check(!arguments.folder.empty(), "OUT: an empty name is no folder");
  arguments.set.scene.seed = parse_seed(arguments.seed);
  parse_size(arguments.size, arguments.set.scene.width, arguments.set.scene.height);
}

void declare(CLI::App& app, Arguments& arguments) {
  SceneSetOptions& set = arguments.set;
  app.option_defaults()->always_capture_default();
  app.add_option("OUT", arguments.folder, "Folder to write; must not exist or be empty")
      ->required()
      ->capture_default_str();
  app.add_option("--count", set.count, "Pictures to draw; every fifth is in the validation list")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1'000'000}));
  app.add_option("--seed", arguments.seed, "The same seed gives the same files");
  app.add_option("--size", arguments.size, "Width x height in pixels, 32 to 4096 each");
  app.add_option("--quality", set.quality, "JPEG quality")->check(CLI::Range(1, 100));
  app.add_option("--threads", arguments.threads, "Threads that draw; the files do not depend on it")
      ->check(CLI::Range(1, 1024));
  app.set_version_flag("--version", dcl::apps::version_text("densecl_scenes"));
  app.add_flag("--overwrite", set.overwrite, "Replace a set of scenes that stands in OUT");
}

void draw(const Arguments& arguments) {
  dcl::tensor::cpu::set_num_threads(arguments.threads);
  Console console(stdout);
  const auto start = std::chrono::steady_clock::now();
  const auto elapsed = [&] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  const std::int64_t count = arguments.set.count;
  write_scene_set(arguments.folder, arguments.set, [&](std::int64_t done) {
    const double eta = elapsed() / static_cast<double>(done) * static_cast<double>(count - done);
    console.bar(static_cast<double>(done) / static_cast<double>(count),
                fmt::format("{}/{} scenes, eta: {}", done, count, format_duration(eta)));
  });
  console.clear_bar();
  console.line(fmt::format("{} scenes of {}x{} in {} ({:.1f} s)", count, arguments.set.scene.width,
                           arguments.set.scene.height, arguments.folder, elapsed()));
}

// CLI11's messages can have a second line with a hint; one line is what a caller can show.
std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

int complain(const std::string& line, int status) {
  fmt::print(stderr, "densecl_scenes: {}\n", first_line(line));
  return status;
}

// The line for arguments that nobody asked for.
std::string unexpected(const CLI::App& app) {
  const std::vector<std::string> rest = app.remaining();
  const auto flag =
      std::find_if(rest.begin(), rest.end(), [](const auto& text) { return text.starts_with("-"); });
  if (flag == rest.end()) return fmt::format("unexpected argument \"{}\"", rest.front());
  std::vector<std::string> known;
  for (const auto* option : app.get_options())
    if (!option->get_lnames().empty()) known.push_back("--" + option->get_lnames().front());
  return fmt::format("unknown flag {}{}", *flag, dcl::densecl::did_you_mean(*flag, known));
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app(
      "Draws scenes of 1 to 6 partly hidden objects of ten classes, told apart by outline and texture,\n"
      "with boxes and masks, in PASCAL VOC's layout.",
      "densecl_scenes");
  Arguments arguments;
  declare(app, arguments);
  try {
    app.parse(argc, argv);
    check_arguments(arguments);
  } catch (const CLI::Success& answer) {  // --help, --version
    return app.exit(answer);
  } catch (const CLI::ExtrasError&) {
    return complain(unexpected(app), kUsedWrongly);
  } catch (const std::exception& error) {
    return complain(error.what(), kUsedWrongly);
  }
  try {
    draw(arguments);
    return 0;
  } catch (const std::exception& error) {
    return complain(error.what(), kFailed);
  }
}
