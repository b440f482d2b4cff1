// curve_check CURVES.json METRICS.jsonl…: does this engine train like the reference? Each run (one metrics
// file a seed, written with --print-freq 1) is averaged over the windows of steps that the curves file names,
// and every mean has to lie inside the window's band. Prints a table, and last one line of JSON: ok, runs,
// checks, outside, name. Exit status 0: all inside, 1: not, 2: used wrongly.
#include <fstream>
#include <iostream>
#include <map>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "tensor/check.h"

namespace {

using nlohmann::json;

std::ifstream open(const std::string& path) {
  std::ifstream in(path);
  dcl::check(in.is_open(), "{}: cannot be opened", path);
  return in;
}

// Unweighted losses and accuracy of one logged step, under the names of the curves file.
std::map<std::string, double> unweighted(const json& row, double lambda) {
  std::map<std::string, double> values{{"acc1", row.at("acc1").get<double>()}};
  if (row.contains("loss_contra")) {
    values["loss_global"] = row["loss_contra"].get<double>();
  } else {
    values["loss_global"] = row.at("loss_contra_single").get<double>() / (1 - lambda);
    values["loss_dense"] = row.at("loss_contra_dense").get<double>() / lambda;
  }
  return values;
}

// By step, from 0.
std::vector<std::map<std::string, double>> read_run(const std::string& path, double lambda) {
  auto in = open(path);
  std::vector<std::map<std::string, double>> steps;
  for (std::string line; std::getline(in, line);) {
    const json row = json::parse(line);
    dcl::check(row.at("step").get<std::size_t>() == steps.size(),
               "{}: step {} is missing (the run has to log every step: --print-freq 1)", path, steps.size());
    steps.push_back(unweighted(row, lambda));
  }
  return steps;
}

double window_mean(const std::vector<std::map<std::string, double>>& run, const json& window,
                   const std::string& key) {
  const auto first = window.at("steps").at(0).get<std::size_t>();
  const auto end = window.at("steps").at(1).get<std::size_t>();
  dcl::check(end <= run.size(), "a run has {} steps, the window ends at {}", run.size(), end);
  double sum = 0;
  for (std::size_t step = first; step < end; ++step) sum += run[step].at(key);
  return sum / static_cast<double>(end - first);
}

struct Verdict {
  int checks = 0;
  int outside = 0;
  std::string name;  // of the first outside
};

void check_window(const json& window, const std::string& key, double mean, const std::string& run,
                  Verdict& verdict) {
  const auto low = window.at(key).at("band").at(0).get<double>();
  const auto high = window.at(key).at("band").at(1).get<double>();
  const bool inside = mean >= low && mean <= high;
  const std::string steps = window.at("steps").dump();
  std::cout << fmt::format("{:<12} {:<12} {:>9.4f}  band {:.4f} to {:.4f}  {}  {}\n", steps, key, mean, low,
                           high, inside ? "inside " : "OUTSIDE", run);
  ++verdict.checks;
  if (inside) return;
  if (verdict.outside++ == 0) verdict.name = fmt::format("{} {} of {}", key, steps, run);
}

int run(const std::string& curves_path, const std::vector<std::string>& paths) {
  auto in = open(curves_path);
  const json curves = json::parse(in);
  const double lambda = curves.at("recipe").value("lambda", 0.5);
  Verdict verdict;
  for (const auto& path : paths) {
    const auto steps = read_run(path, lambda);
    for (const auto& window : curves.at("windows"))
      for (const std::string key : {"loss_global", "loss_dense", "acc1"})
        if (window.contains(key)) check_window(window, key, window_mean(steps, window, key), path, verdict);
  }
  const nlohmann::ordered_json line{{"ok", verdict.outside == 0},
                                    {"runs", paths.size()},
                                    {"checks", verdict.checks},
                                    {"outside", verdict.outside},
                                    {"name", verdict.name}};
  std::cout << line.dump() << std::endl;
  return verdict.outside == 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Compares training runs with recorded bands.");
  std::string curves;
  std::vector<std::string> metrics;
  app.add_option("CURVES", curves, "bands, JSON (tests/golden/curves)")->required();
  app.add_option("METRICS", metrics, "metrics.jsonl of one run each")->required();
  try {
    app.parse(argc, argv);
    return run(curves, metrics);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);
    std::cerr << "curve_check: " << error.what() << '\n';
  } catch (const std::exception& error) {
    std::cerr << "curve_check: " << error.what() << '\n';
  }
  return 2;
}
