// parity CASE.json: does this engine compute what the reference computed? Exit status 0: it holds, 1: it
// disagrees, 2: used wrongly. The last line on standard output is one object: ok, worst, name, tolerance.
#include <algorithm>
#include <fstream>
#include <iostream>
#include <limits>

#include "apps/support/command_line.h"
#include "tests/support/reference_case.h"

namespace {

using dcl::tensor::DType;
using nlohmann::json;

json read_case(const std::string& path) {
  std::ifstream in(path);
  dcl::check(in.is_open(), "{}: cannot be opened", path);
  try {
    return json::parse(in);
  } catch (const json::exception& error) {
    dcl::fail("{}: not JSON: {}", path, error.what());
  }
}

int run(const std::string& path, dcl::tensor::TensorOptions options) {
  const json file = read_case(path);
  dcl::check(file.is_object() && file.contains("case") && file.contains("expected"),
             "{}: not a reference case, expected the keys case and expected", path);
  const auto worst =
      dcl::test::compare_case(file, dcl::test::run_case(file.at("case"), options), options.dtype);
  json line{{"ok", worst.ok()}, {"name", worst.name}, {"tolerance", worst.tolerance}};
  line["worst"] = std::min(worst.worst, std::numeric_limits<double>::max());  // JSON has no infinity
  std::cout << line.dump() << '\n';
  return worst.ok() ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  dcl::apps::CommandLine line("parity",
                              "Runs a reference case and compares every number with the recorded ones.");
  std::string path;
  std::string dtype = "f64";
  std::string device = "cpu";
  line.positional("CASE", path, "reference case, JSON");
  line.choice("--dtype", dtype, "f64 or f32 (also fp64, fp32)",
              {{"f64", "f64"}, {"f32", "f32"}, {"fp64", "f64"}, {"fp32", "f32"}});
  line.choice("--device", device, "cpu or cuda", {{"cpu", "cpu"}, {"cuda", "cuda"}});
  const auto options = [&] {
    return dcl::tensor::TensorOptions{dtype == "f64" ? DType::float64 : DType::float32,
                                      dcl::tensor::device_named(device)};
  };
  line.check([&] { dcl::tensor::check_device("--device cuda", options().device); });
  return line.run(argc, argv, [&] { return run(path, options()); }, dcl::apps::kUsedWrongly);
}
