#include "tests/support/curves.h"

#include <algorithm>
#include <fstream>
#include <utility>

#include "densecl/report/chart.h"
#include "tensor/check.h"

namespace dcl::test {

using nlohmann::json;
namespace report = densecl::report;

namespace {

const std::vector<std::string> kKeys{"loss_global", "loss_dense", "acc1"};

CurveStep unweighted(const json& row, double lambda) {
  CurveStep values{{"acc1", row.at("acc1").get<double>()}};
  if (row.contains("loss_contra")) {
    values["loss_global"] = row["loss_contra"].get<double>();
  } else {
    values["loss_global"] = row.at("loss_contra_single").get<double>() / (1 - lambda);
    values["loss_dense"] = row.at("loss_contra_dense").get<double>() / lambda;
  }
  return values;
}

double window_mean(const CurveRun& run, std::size_t first, std::size_t end, const std::string& key) {
  check(end <= run.steps.size(), "{}: the run has {} steps, the window ends at {}", run.name,
        run.steps.size(), end);
  double sum = 0;
  for (std::size_t step = first; step < end; ++step) sum += run.steps[step].at(key);
  return sum / static_cast<double>(end - first);
}

report::Panel panel_of(const std::string& key, const json& curves, const std::vector<CurveCheck>& checks) {
  report::Panel panel{.title = key};
  const std::string reference = curves.value("reference", "PyTorch");
  std::map<std::string, report::Line> lines;
  for (const auto& window : curves.at("windows")) {
    const auto first = window.at("steps").at(0).get<double>();
    const auto end = window.at("steps").at(1).get<double>();
    const auto band = window.at(key).at("band").get<std::vector<double>>();
    panel.boxes.push_back({.label = panel.boxes.empty() ? reference + ", band" : "",
                           .color = "#999999",
                           .left = first,
                           .right = end,
                           .low = band.at(0),
                           .high = band.at(1),
                           .opacity = 0.35});
    int seed = 0;
    for (const double mean : window.at(key).at("seeds").get<std::vector<double>>()) {
      report::Line& line = lines["reference " + std::to_string(seed++)];
      line = {.label = seed == 1 ? reference + ", one line a seed" : "",
              .color = "#555555",
              .points = line.points,
              .width = 1};
      line.dashed = true;
      line.points.push_back({(first + end) / 2, mean});
    }
  }
  for (const auto& check : checks) {
    if (check.key != key) continue;
    report::Line& line = lines["run " + check.run];
    line.color = "#d65f2f";
    line.points.push_back({static_cast<double>(check.first + check.end) / 2, check.mean});
  }
  bool named = false;
  for (auto& [name, line] : lines) {
    if (name.starts_with("run ") && !std::exchange(named, true))
      line.label = curves.value("runs", "this engine") + ", one line a seed";
    panel.lines.push_back(std::move(line));
  }
  return panel;
}

}  // namespace

CurveRun read_curve_run(const std::string& path, double lambda) {
  std::ifstream in(path);
  check(in.is_open(), "{}: cannot be opened", path);
  CurveRun run{path, {}};
  for (std::string line; std::getline(in, line);) {
    const json row = json::parse(line);
    check(row.at("step").get<std::size_t>() == run.steps.size(),
          "{}: step {} is missing (the run has to log every step: --print-freq 1)", path, run.steps.size());
    run.steps.push_back(unweighted(row, lambda));
  }
  return run;
}

std::vector<CurveCheck> check_curves(const json& curves, const std::vector<CurveRun>& runs) {
  std::vector<CurveCheck> checks;
  for (const auto& run : runs)
    for (const auto& window : curves.at("windows"))
      for (const auto& key : kKeys) {
        if (!window.contains(key)) continue;
        const auto first = window.at("steps").at(0).get<std::size_t>();
        const auto end = window.at("steps").at(1).get<std::size_t>();
        const auto band = window.at(key).at("band").get<std::vector<double>>();
        checks.push_back(
            {run.name, key, first, end, window_mean(run, first, end, key), band.at(0), band.at(1)});
      }
  return checks;
}

std::string draw_curves(const json& curves, const std::vector<CurveCheck>& checks) {
  const json& recipe = curves.at("recipe");
  report::Chart chart{
      .title = fmt::format("{} {}: means over 50 steps, {} and {}", recipe.value("method", ""),
                           recipe.value("arch", ""), curves.value("reference", "PyTorch"),
                           curves.value("runs", "this engine")),
      .x_label = "step",
      .height = 800,
      .panels = {}};
  for (const auto& key : kKeys)
    if (curves.at("windows").at(0).contains(key)) chart.panels.push_back(panel_of(key, curves, checks));
  return report::to_svg(chart);
}

}  // namespace dcl::test
