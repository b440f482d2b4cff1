// curve_check CURVES.json METRICS.jsonl…: does this engine train like the reference? Each run (one metrics
// file a seed, written with --print-freq 1) is averaged over the windows of steps that the curves file names,
// and every mean has to lie inside the window's band. Prints a table, and last one line of JSON: ok, runs,
// checks, outside, name. Exit status 0: all inside, 1: not, 2: used wrongly.
#include <fstream>
#include <iostream>

#include "apps/support/command_line.h"
#include "tensor/check.h"
#include "tests/support/curves.h"

namespace {

struct Arguments {
  std::string curves;
  std::vector<std::string> metrics;
  std::string svg;
};

void write_file(const std::string& path, const std::string& text) {
  std::ofstream out(path);
  out << text << std::flush;
  dcl::check(out.good(), "{}: cannot be written", path);
}

int run(const Arguments& arguments) {
  std::ifstream in(arguments.curves);
  dcl::check(in.is_open(), "{}: cannot be opened", arguments.curves);
  const auto curves = nlohmann::json::parse(in);
  const double lambda = curves.at("recipe").value("lambda", 0.5);
  std::vector<dcl::test::CurveRun> runs;
  for (const auto& path : arguments.metrics) runs.push_back(dcl::test::read_curve_run(path, lambda));
  const auto checks = dcl::test::check_curves(curves, runs);
  int outside = 0;
  std::string worst;
  for (const auto& check : checks) {
    const std::string line = fmt::format(
        "steps {:>4} to {:>4}  {:<12} {:>8.4f}  band {:.4f} to {:.4f}  {}  {}", check.first, check.end,
        check.key, check.mean, check.low, check.high, check.inside() ? "inside " : "OUTSIDE", check.run);
    std::cout << line << '\n';
    if (!check.inside() && outside++ == 0)
      worst = fmt::format("{} from step {} of {}", check.key, check.first, check.run);
  }
  if (!arguments.svg.empty()) write_file(arguments.svg, dcl::test::draw_curves(curves, checks));
  const nlohmann::ordered_json line{{"ok", outside == 0},
                                    {"runs", runs.size()},
                                    {"checks", checks.size()},
                                    {"outside", outside},
                                    {"name", worst}};
  std::cout << line.dump() << '\n';
  return outside == 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  dcl::apps::CommandLine line("curve_check", "Compares training runs with recorded bands.");
  Arguments arguments;
  line.positional("CURVES", arguments.curves, "bands, JSON (tests/golden/curves)");
  line.positional("METRICS", arguments.metrics, "metrics.jsonl of one run each");
  line.option("--svg", arguments.svg, "draw bands and runs into this file");
  return line.run(argc, argv, [&] { return run(arguments); }, dcl::apps::kUsedWrongly);
}
