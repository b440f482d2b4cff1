// Pictures of a run, drawn from its metrics file.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "densecl/report/metrics.h"

namespace dcl::densecl::report {

/// The losses (smooth over raw) with the peak of `loss` marked and the time shaded in which the queue fills
/// with real keys, and below them the top-1 accuracy of the contrastive task and the queue's fill. 900 x 600
/// SVG.
std::string loss_plot(const std::vector<MetricsRow>& rows, const std::string& title);

/// Reads FOLDER/metrics.jsonl and writes FOLDER/loss.svg in one step. Throws dcl::Error.
void write_loss_plot(const std::filesystem::path& folder);

}  // namespace dcl::densecl::report
