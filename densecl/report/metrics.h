// metrics.jsonl: one JSON object a log line, all digits.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "densecl/report/observer.h"

namespace dcl::densecl::report {

/// Keys, in this order: epoch, iter (from 1), step (from 0), lr, time, data_time (s), memory (MiB), eta_s,
/// pictures_per_s, queue_fill, acc1 (0 to 1), replaced, batches_ready, then the losses. Numbers in the
/// shortest form that reads back to the same bits, so that equal bits are equal text; null where a value is
/// not finite. No newline.
std::string metrics_line(const StepRecord& record);

/// One line of a metrics file: its numbers by key. A null reads as NaN.
struct MetricsRow {
  std::int64_t step = 0;
  std::map<std::string, double> values;
};

/// The rows of a metrics file in order. Lines that are no JSON object with a step (the torn last line of a
/// crashed run) are left out. Throws dcl::Error when the file cannot be read.
std::vector<MetricsRow> read_metrics(const std::filesystem::path& path);

/// Cuts metrics.jsonl and train.log in `folder` back to `last_step` (from 0, as in the metrics; -1 keeps no
/// step): what a run that resumes after that step will write again is removed, and a torn last line too. In
/// train.log everything from the first later step on goes, messages included. Crash-safe; missing files stay
/// missing. Throws dcl::Error.
void truncate_reports(const std::filesystem::path& folder, std::int64_t last_step);

}  // namespace dcl::densecl::report
