#include "densecl/report/plot.h"

#include <algorithm>
#include <cmath>

#include <fmt/core.h>

#include "densecl/report/chart.h"
#include "densecl/report/line_file.h"

namespace dcl::densecl::report {
namespace {

constexpr std::size_t kColumns = 800;
constexpr const char* kLossColor = "#3d5a98";
constexpr const char* kAccuracyColor = "#2a8a5c";
constexpr const char* kQueueColor = "#b8860b";

struct Curve {
  std::string key;
  std::string label;
  std::string color;
};

const std::vector<Curve> kLosses = {
    {"loss_contra_single", "global part", "#d1603d"},
    {"loss_contra_dense", "dense part", "#7d5ba6"},
    {"loss", "loss", kLossColor},
};

std::vector<DataPoint> curve(const std::vector<MetricsRow>& rows, const std::string& key, double scale = 1) {
  std::vector<DataPoint> points;
  for (const auto& row : rows)
    if (const auto found = row.values.find(key); found != row.values.end())
      points.push_back({static_cast<double>(row.step), scale * found->second});
  return points;
}

// Neighbours on either side in the smooth curve: about a twenty-fourth of the run, none where there are few
// points.
std::size_t smoothing_reach(std::size_t points) { return std::min<std::size_t>(points / 24, 100); }

// The raw curve, faint, and the smooth one over it. Returns the smooth one.
std::vector<DataPoint> add_curve(Panel& panel, const Curve& style, const std::vector<DataPoint>& points) {
  const std::size_t reach = smoothing_reach(points.size());
  auto smooth = smoothed(points, reach);
  if (reach > 0)
    panel.lines.push_back({.label = "",
                           .color = style.color,
                           .points = thinned(points, kColumns),
                           .width = 1,
                           .opacity = 0.28});
  panel.lines.push_back(
      {.label = style.label, .color = style.color, .points = thinned(smooth, kColumns), .width = 2.2});
  return smooth;
}

void mark_peak_and_end(Panel& panel, const std::vector<DataPoint>& loss) {
  std::vector<DataPoint> finite;
  std::copy_if(loss.begin(), loss.end(), std::back_inserter(finite),
               [](const DataPoint& point) { return std::isfinite(point.y); });
  if (finite.empty()) return;
  const auto peak = *std::max_element(finite.begin(), finite.end(),
                                      [](const DataPoint& a, const DataPoint& b) { return a.y < b.y; });
  panel.markers.push_back(
      {.at = peak, .color = kLossColor, .note = fmt::format("peak {:.2f} at step {:.0f}", peak.y, peak.x)});
  if (finite.back().x > peak.x)
    panel.markers.push_back(
        {.at = finite.back(), .color = kLossColor, .note = fmt::format("{:.2f}", finite.back().y)});
}

}  // namespace

std::string loss_plot(const std::vector<MetricsRow>& rows, const std::string& title) {
  Panel losses{.title = "Contrastive loss", .share = 2};
  Panel task{.title = "Top-1 of the contrastive task", .share = 1};
  task.low = 0;
  const auto fill = curve(rows, "queue_fill", 100);
  const auto full =
      std::find_if(fill.begin(), fill.end(), [](const DataPoint& point) { return point.y >= 100; });
  if (!fill.empty() && full != fill.begin()) {
    const double end = full == fill.end() ? fill.back().x : full->x;
    losses.boxes.push_back(
        {.label = "queue filling", .color = kQueueColor, .left = 0, .right = end, .opacity = 0.13});
  }
  for (const auto& style : kLosses) {
    const auto points = curve(rows, style.key);
    if (points.empty()) continue;
    const auto smooth = add_curve(losses, style, points);
    if (style.key == "loss") mark_peak_and_end(losses, smooth);
  }
  task.lines.push_back({.label = "queue filled, %",
                        .color = kQueueColor,
                        .points = thinned(fill, kColumns),
                        .width = 1.6,
                        .opacity = 0.9,
                        .dashed = true});
  add_curve(task, {"acc1", "top-1, %", kAccuracyColor}, curve(rows, "acc1", 100));
  return to_svg({.title = title, .x_label = "step", .panels = {losses, task}});
}

void write_loss_plot(const std::filesystem::path& folder) {
  const auto name = std::filesystem::absolute(folder).lexically_normal();
  const auto title = (name.has_filename() ? name : name.parent_path()).filename().string();
  const auto rows = read_metrics(folder / "metrics.jsonl");
  const std::int64_t steps = rows.empty() ? 0 : rows.back().step + 1;
  replace_file(folder / "loss.svg", loss_plot(rows, fmt::format("{}: {} steps", title, steps)));
}

}  // namespace dcl::densecl::report
