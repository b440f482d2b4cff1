// Training curves against the reference's bands (tests/golden/curves/*.json).
#pragma once

#include <map>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace dcl::test {

/// Unweighted values of one step: loss_global, loss_dense (DenseCL), acc1.
using CurveStep = std::map<std::string, double>;

struct CurveRun {
  std::string name;
  std::vector<CurveStep> steps;
};

/// Reads metrics.jsonl of a run with --print-freq 1. Throws, naming the step, where one is missing.
CurveRun read_curve_run(const std::string& path, double lambda);

/// One mean over one window.
struct CurveCheck {
  std::string run;
  std::string key;
  std::size_t first = 0, end = 0;  // steps [first, end)
  double mean = 0, low = 0, high = 0;
  bool inside() const { return mean >= low && mean <= high; }
};

/// Every window and key of the curves file for every run. Throws where a run is too short.
std::vector<CurveCheck> check_curves(const nlohmann::json& curves, const std::vector<CurveRun>& runs);

/// The bands, the reference's seeds and the runs' window means, as SVG.
std::string draw_curves(const nlohmann::json& curves, const std::vector<CurveCheck>& checks);

}  // namespace dcl::test
