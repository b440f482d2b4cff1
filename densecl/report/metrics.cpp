#include "densecl/report/metrics.h"

#include <cmath>
#include <limits>
#include <optional>

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include "densecl/report/line_file.h"
#include "densecl/report/log_line.h"

namespace dcl::densecl::report {
namespace {

// fmt's "{}" of a double is the shortest text that reads back to the same bits.
std::string number(double value) { return std::isfinite(value) ? fmt::format("{}", value) : "null"; }

std::optional<MetricsRow> parse_row(std::string_view line) {
  const auto object = nlohmann::json::parse(line.begin(), line.end(), nullptr, false);
  if (!object.is_object() || !object.contains("step") || !object["step"].is_number_integer()) return {};
  MetricsRow row;
  row.step = object["step"].get<std::int64_t>();
  for (const auto& [key, value] : object.items()) {
    if (value.is_number()) row.values[key] = value.get<double>();
    if (value.is_null()) row.values[key] = std::numeric_limits<double>::quiet_NaN();
  }
  return row;
}

}  // namespace

std::string metrics_line(const StepRecord& r) {
  std::string line = fmt::format(
      R"({{"epoch": {}, "iter": {}, "step": {}, "lr": {}, "time": {}, "data_time": {}, "memory": {}, "eta_s": {}, )"
      R"("pictures_per_s": {}, "queue_fill": {}, "acc1": {}, "replaced": {}, "batches_ready": {})",
      r.epoch, r.iter, r.step, number(r.lr), number(r.time), number(r.data_time), r.memory_mib,
      number(r.eta_s), number(r.pictures_per_s), number(r.queue_fill), number(r.acc1), r.replaced,
      number(r.batches_ready));
  for (const auto& [name, value] : r.losses)
    line += fmt::format(", {}: {}", nlohmann::json(name).dump(), number(value));
  return line + "}";
}

std::vector<MetricsRow> read_metrics(const std::filesystem::path& path) {
  const std::string text = read_text_file(path);
  std::vector<MetricsRow> rows;
  for (std::size_t at = 0, end = 0; (end = text.find('\n', at)) != std::string::npos; at = end + 1)
    if (auto row = parse_row({text.data() + at, end - at})) rows.push_back(std::move(*row));
  return rows;
}

void truncate_reports(const std::filesystem::path& folder, std::int64_t last_step) {
  keep_lines(folder / "metrics.jsonl", [&](std::string_view line) {
    const auto row = parse_row(line);
    return row && row->step <= last_step;
  });
  bool later = false;
  keep_lines(folder / "train.log", [&](std::string_view line) {
    const auto step = step_of_log_line(line);
    later = later || (step && *step > last_step);
    return !later;
  });
}

}  // namespace dcl::densecl::report
