// A reference case (tests/golden/*.json): the protocol by which every tensor follows from its own name, the
// run of this engine on it, and the comparison with the recorded numbers.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "tensor/tensor.h"

namespace dcl::test {

/// n values in [-1, 1): splitmix64 seeded with FNV-1a of `name`, 53 bits a draw.
std::vector<double> stream(const std::string& name, std::int64_t n);

/// A picture batch of the protocol, [N,H,W,3]; `view` is 'q' or 'k'.
tensor::Tensor case_pictures(const nlohmann::json& c, std::int64_t step, char view, tensor::DType dtype);

/// Runs the steps of a case in float64 or float32 and returns what the reference's run() returns:
/// {"steps": [{losses, "match_sum", "match_margin", "grad": {name: [norm, probe]}}], "final": {…},
/// "queue_ptr"}.
nlohmann::json run_case(const nlohmann::json& c, tensor::TensorOptions options);

nlohmann::json read_json(const std::string& path);
/// The recorded cases of tests/golden, and one of them.
std::vector<std::string> golden_case_names();
nlohmann::json golden_case(const std::string& name);

struct Difference {
  double worst = 0;      // |a - b| / max(1, |a|, |b|); infinite where a number is missing or not finite
  std::string name;      // where, "steps.0.grad.encoder_q.0.conv1.weight.1"
  double tolerance = 0;  // what was allowed there
  bool ok() const { return worst <= tolerance; }
};

/// All numbers within the case's "rtol" (float64), or every step's losses within its "rtol_f32" (float32; a
/// null tolerance means that float32 says nothing there). Of several numbers the one that stands worst
/// against its tolerance is reported.
Difference compare_case(const nlohmann::json& file, const nlohmann::json& got, tensor::DType dtype);

}  // namespace dcl::test
