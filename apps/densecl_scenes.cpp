// densecl_scenes OUT --count N --seed S: draws a synthetic picture set in PASCAL VOC's layout.
#include <charconv>
#include <chrono>
#include <cstdio>

#include <fmt/core.h>

#include "apps/support/command_line.h"
#include "apps/support/version.h"
#include "data/scenes/scene_set.h"
#include "densecl/report/console.h"
#include "tensor/cpu/threads.h"

namespace {

using dcl::apps::CommandLine;
using dcl::data::scenes::SceneSetOptions;
using dcl::densecl::report::Console;
using dcl::densecl::report::format_duration;

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

void declare(CommandLine& line, Arguments& arguments) {
  SceneSetOptions& set = arguments.set;
  line.positional("OUT", arguments.folder, "Folder to write; must not exist or be empty");
  line.option("--count", set.count, "Pictures to draw; every fifth is in the validation list", 1, 1'000'000);
  line.option("--seed", arguments.seed, "The same seed gives the same files");
  line.option("--size", arguments.size, "Width x height in pixels, 32 to 4096 each");
  line.option("--quality", set.quality, "JPEG quality", 1, 100);
  line.option("--threads", arguments.threads, "Threads that draw; the files do not depend on it", 1, 1024);
  line.option("--overwrite", set.overwrite, "Replace a set of scenes that stands in OUT");
  line.check([&arguments] { check_arguments(arguments); });
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

}  // namespace

int main(int argc, char** argv) {
  CommandLine line(
      "densecl_scenes",
      "Draws scenes of 1 to 6 partly hidden objects of ten classes, told apart by outline and texture,\n"
      "with boxes and masks, in PASCAL VOC's layout.",
      [] { return dcl::apps::version_text("densecl_scenes"); });
  Arguments arguments;
  declare(line, arguments);
  return line.run(argc, argv, [&] {
    draw(arguments);
    return 0;
  });
}
