// Pillow's pixels (tests/golden/augment, written by the reference's augment.py): every stage of the
// augmentation, run on the reference's own previous stage, so that a level of difference in one is not
// carried into the next.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "data/image.h"

namespace dcl::test {

/// How one stage's pixels stand against the reference's.
struct StageResult {
  std::string name;  // "picture_00.jpg jitter2 (hue)"
  bool jitter = false;
  int levels = 0;     // largest difference of a value
  double share = 0;   // of the values that differ
  std::string error;  // not comparable: another size, a picture that contradicts its own SHA-256, …

  bool exact() const { return error.empty() && levels == 0; }
  /// The same bytes; a jitter operation may be one level off on 1 % of the values.
  bool ok() const { return exact() || (jitter && error.empty() && levels <= 1 && share <= 0.01); }
};

/// Runs all stages of all cases of `folder`/augment.json. Throws Error where a file is missing or the JSON is
/// not that of such a set.
std::vector<StageResult> run_augment_cases(const std::filesystem::path& folder);

/// Lower-case hexadecimal SHA-256.
std::string sha256(std::span<const std::uint8_t> bytes);

}  // namespace dcl::test
