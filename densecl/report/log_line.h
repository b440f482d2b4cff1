// A step in one line, as mmcv writes it.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "densecl/report/observer.h"

namespace dcl::densecl::report {

/// "Epoch [1][50/462]  lr: 3.000e-01, eta: 1 day, 2:03:04, time: 0.912, data_time: 0.012, memory: 12516,
/// loss_contra_single: 4.2904, loss_contra_dense: 4.3897, loss: 8.6800, pictures/s: 280.7, acc1: 0.1250,
/// queue: 42%, batches ready: 2.9", and ", replaced: 3" when unreadable pictures were replaced. One line.
std::string log_line(const StepRecord& record);

/// The same figures behind the progress bar, the telling ones first.
std::string bar_text(const StepRecord& record);

/// The step (from 0, over all epochs) of a line that log_line wrote; nothing for any other line.
std::optional<std::int64_t> step_of_log_line(std::string_view line);

}  // namespace dcl::densecl::report
