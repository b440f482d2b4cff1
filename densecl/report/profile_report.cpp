#include "densecl/report/profile_report.h"

#include <algorithm>
#include <fstream>
#include <map>
#include <vector>

#include <nlohmann/json.hpp>

#include "tensor/check.h"

namespace dcl::densecl::report {

namespace {

struct Row {
  std::string name;
  std::int64_t calls = 0;
  double seconds = 0;
  tensor::Work work;

  void add(const tensor::ProfileEvent& event) {
    ++calls;
    seconds += event.seconds;
    work.flop += event.work.flop;
    work.bytes += event.work.bytes;
  }
};

template <class NameOf>
std::vector<Row> rows_by(const tensor::ProfileRecording& recording, const NameOf& name_of) {
  std::map<std::string, Row> rows;
  for (const auto& event : recording.events()) {
    const std::string name = name_of(event);
    if (!name.empty()) rows[name].add(event);
  }
  std::vector<Row> sorted;
  for (auto& [name, row] : rows) {
    row.name = name;
    sorted.push_back(row);
  }
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const Row& a, const Row& b) { return a.seconds > b.seconds; });
  return sorted;
}

// Work a second in units of 1e9; "-" where an op tells none.
std::string rate(double work, double seconds) {
  return work > 0 && seconds > 0 ? fmt::format("{:.1f}", work / seconds * 1e-9) : "-";
}

std::string line_of(const Row& row, double seconds, std::int64_t steps) {
  const double count = static_cast<double>(steps);
  return fmt::format("\n{:<52} {:>7.4g} {:>9.3f} {:>8} {:>7} {:>6.1f}%", row.name,
                     static_cast<double>(row.calls) / count, row.seconds / count * 1e3,
                     rate(row.work.flop, row.seconds), rate(row.work.bytes, row.seconds),
                     100 * row.seconds / seconds);
}

}  // namespace

std::string profile_table(const tensor::ProfileRecording& recording, double seconds, std::int64_t steps) {
  check(seconds > 0 && steps > 0, "profile: {} steps in {} s, expected at least one", steps, seconds);
  std::string table =
      fmt::format("{:<52} {:>7} {:>9} {:>8} {:>7} {:>7}", "op", "calls", "ms", "GFLOP/s", "GB/s", "share");
  Row between{"(between ops)", 0, seconds, {}};
  for (const Row& row : rows_by(recording, [](const auto& event) { return std::string(event.name); })) {
    table += line_of(row, seconds, steps);
    between.seconds -= row.seconds;
  }
  between.calls = steps;
  table += line_of(between, seconds, steps);
  table += "\n\nby size";
  for (const Row& row : rows_by(recording, [](const auto& event) {
         return event.detail.empty() ? std::string() : fmt::format("{} {}", event.name, event.detail);
       }))
    table += line_of(row, seconds, steps);
  return table;
}

void StepProfile::start_step() {
  if (steps_ == kSkipped) recording_.emplace();
}

bool StepProfile::end_step() {
  ++steps_;
  if (!recording_) return false;
  seconds_ = recording_->now();
  return steps_ == kSkipped + kSteps;
}

std::string StepProfile::finish(const std::filesystem::path& file) {
  const std::string table = profile_table(*recording_, seconds_, steps_ - kSkipped);
  write_trace(*recording_, file);
  recording_.reset();
  return table;
}

void write_trace(const tensor::ProfileRecording& recording, const std::filesystem::path& file) {
  std::ofstream out(file);
  out << R"({"displayTimeUnit":"ms","traceEvents":[)";
  const char* separator = "\n";
  for (const auto& event : recording.events()) {
    nlohmann::ordered_json each{
        {"name", event.name},        {"ph", "X"}, {"pid", 1}, {"tid", 1}, {"ts", event.start * 1e6},
        {"dur", event.seconds * 1e6}};
    if (!event.part.empty()) each["cat"] = event.part;
    if (!event.detail.empty()) each["args"]["sizes"] = event.detail;
    if (event.work.flop > 0) each["args"]["GFLOP"] = event.work.flop * 1e-9;
    if (event.work.bytes > 0) each["args"]["MB"] = event.work.bytes * 1e-6;
    out << separator << each.dump();
    separator = ",\n";
  }
  out << "\n]}\n";
  out.close();
  check(!out.fail(), "{}: the trace cannot be written", file.string());
}

}  // namespace dcl::densecl::report
