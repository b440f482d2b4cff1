// What a recording of ops (tensor/profile.h) shows: a table for people, and a trace for chrome://tracing or
// ui.perfetto.dev.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "tensor/profile.h"

namespace dcl::densecl::report {

/// A row an op, the largest share first: calls a step, milliseconds a step, GFLOP/s, GB/s, share of the whole
/// time; then the same for each size of the ops that tell it; last what lies between the ops. `seconds` is
/// the time that the recording covers, over `steps` steps. Several lines, without a final newline.
std::string profile_table(const tensor::ProfileRecording& recording, double seconds, std::int64_t steps);

/// The recording of a few steps of a run: not of the first two, whose memory is new, and of ten at most.
class StepProfile {
 public:
  /// Around each step, data included.
  void start_step();
  /// True once, at the end of the last step that it wants.
  bool end_step();
  /// True where a step was recorded whose table was not asked for yet.
  bool open() const { return recording_.has_value() && steps_ > kSkipped; }
  /// The table, and the trace in `file`; then the recording is over. Throws where the file cannot be written.
  std::string finish(const std::filesystem::path& file);

 private:
  static constexpr std::int64_t kSkipped = 2;
  static constexpr std::int64_t kSteps = 10;
  std::int64_t steps_ = 0;
  double seconds_ = 0;  // that the recording covers
  std::optional<tensor::ProfileRecording> recording_;
};

/// Writes the events as JSON in Chrome's trace format ("X" events, microseconds). Throws where the file
/// cannot be written.
void write_trace(const tensor::ProfileRecording& recording, const std::filesystem::path& file);

}  // namespace dcl::densecl::report
