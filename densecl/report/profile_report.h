// What a recording of ops (tensor/profile.h) shows: a table for people, and a trace for chrome://tracing or
// ui.perfetto.dev.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "tensor/profile.h"

namespace dcl::densecl::report {

/// A row an op, the largest share first: calls a step, milliseconds a step, GFLOP/s, GB/s, share of the whole
/// time; then the same for each size of the ops that tell it; last what lies between the ops. `seconds` is
/// the time that the recording covers, over `steps` steps. Several lines, without a final newline.
std::string profile_table(const tensor::ProfileRecording& recording, double seconds, std::int64_t steps);

/// Writes the events as JSON in Chrome's trace format ("X" events, microseconds). Throws where the file
/// cannot be written.
void write_trace(const tensor::ProfileRecording& recording, const std::filesystem::path& file);

}  // namespace dcl::densecl::report
