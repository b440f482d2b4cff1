// augment_golden DIR: are our pixels Pillow's? DIR holds augment.json and its pictures. Exit status 0: every
// stage is the same, or near enough where that is allowed (jitter), 1: one is not, 2: used wrongly. The last
// line on standard output is one object: ok, stages (how many), exact (how many of them to the byte), and the
// worst stage: worst_levels, worst_share (of its values that differ), name.
#include <algorithm>
#include <iostream>
#include <tuple>

#include <nlohmann/json.hpp>

#include "apps/support/command_line.h"
#include "tests/support/augment_cases.h"

namespace {

using dcl::test::StageResult;

bool better(const StageResult& a, const StageResult& b) {
  const auto rank = [](const StageResult& r) {
    return std::tuple(!r.ok(), !r.error.empty(), r.levels, r.share);
  };
  return rank(a) < rank(b);
}

int run(const std::string& folder) {
  const auto results = dcl::test::run_augment_cases(folder);
  for (const auto& result : results)
    if (!result.error.empty()) std::cerr << "augment_golden: " << result.name << ": " << result.error << '\n';
  const auto& worst = *std::max_element(results.begin(), results.end(), better);
  const auto exact = std::count_if(results.begin(), results.end(), [](const auto& r) { return r.exact(); });
  nlohmann::ordered_json line;
  line["ok"] = worst.ok();
  line["stages"] = results.size();
  line["exact"] = exact;
  line["worst_levels"] = worst.error.empty() ? worst.levels : 255;
  line["worst_share"] = worst.error.empty() ? worst.share : 1.0;
  line["name"] = worst.name;
  std::cout << line.dump() << '\n';
  return worst.ok() ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  dcl::apps::CommandLine line(
      "augment_golden",
      "Runs every stage of the augmentation on Pillow's previous one and compares the pixels.");
  std::string folder;
  line.positional("DIR", folder, "folder with augment.json and its pictures");
  return line.run(argc, argv, [&] { return run(folder); }, dcl::apps::kUsedWrongly);
}
