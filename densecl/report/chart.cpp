#include "densecl/report/chart.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <fmt/core.h>

namespace dcl::densecl::report {
namespace {

constexpr double kLeft = 64;
constexpr double kRight = 24;
constexpr double kTop = 36;
constexpr double kBottom = 52;
constexpr double kPanelTitle = 34;  // height of the row with a panel's title and legend
constexpr const char* kInk = "#333333";
constexpr const char* kGrid = "#e6e6e6";

struct Range {
  double low = std::numeric_limits<double>::infinity();
  double high = -std::numeric_limits<double>::infinity();

  void include(double value) {
    if (!std::isfinite(value)) return;
    low = std::min(low, value);
    high = std::max(high, value);
  }
  // An empty range becomes [0, 1], one value the middle of a range.
  void open() {
    if (low > high) low = 0, high = 1;
    if (low == high) {
      const double around = low == 0 ? 1 : std::abs(low) * 0.1;
      low -= around;
      high += around;
    }
  }
  double share(double value) const { return (value - low) / (high - low); }
};

// A panel's rectangle on the page and the data that it shows.
struct Frame {
  double left, top, width, height;
  Range x, y;

  double px(double value) const { return left + width * std::clamp(x.share(value), -1.0, 2.0); }
  double py(double value) const { return top + height * (1 - std::clamp(y.share(value), -1.0, 2.0)); }
};

Range x_range(const Chart& chart) {
  Range range;
  for (const auto& panel : chart.panels) {
    for (const auto& line : panel.lines)
      for (const auto& point : line.points) range.include(point.x);
    for (const auto& box : panel.boxes) {
      range.include(box.left);
      range.include(box.right);
    }
  }
  range.open();
  return range;
}

Range y_range(const Panel& panel) {
  Range range;
  for (const auto& line : panel.lines)
    for (const auto& point : line.points) range.include(point.y);
  for (const auto& box : panel.boxes) {
    if (box.low) range.include(*box.low);
    if (box.high) range.include(*box.high);
  }
  for (const auto& marker : panel.markers) range.include(marker.at.y);
  range.open();
  const double margin = 0.06 * (range.high - range.low);
  return {panel.low.value_or(range.low - margin), panel.high.value_or(range.high + margin)};
}

std::string escaped(const std::string& text) {
  std::string result;
  for (const char c : text) {
    if (c == '<')
      result += "&lt;";
    else if (c == '>')
      result += "&gt;";
    else if (c == '&')
      result += "&amp;";
    else if (c == '"')
      result += "&quot;";
    else
      result += c;
  }
  return result;
}

std::string tick_text(double value) {
  if (std::abs(value) >= 1e6) return fmt::format("{:.6g}M", value / 1e6);
  if (std::abs(value) >= 1e4) return fmt::format("{:.6g}k", value / 1e3);
  return fmt::format("{:.6g}", std::abs(value) < 1e-12 ? 0.0 : value);
}

std::string text_at(double x, double y, const char* anchor, int size, const char* color,
                    const std::string& text, const char* more = "") {
  return fmt::format(
      "<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\" font-size=\"{}\" fill=\"{}\"{}>{}</text>\n", x, y,
      anchor, size, color, more, escaped(text));
}

std::string axes(const Frame& frame, bool x_labels) {
  std::string svg;
  const double bottom = frame.top + frame.height;
  for (const double value : ticks(frame.y.low, frame.y.high, static_cast<int>(frame.height / 45))) {
    const double y = frame.py(value);
    svg +=
        fmt::format("<path d=\"M{:.1f} {:.1f}h{:.1f}\" stroke=\"{}\"/>\n", frame.left, y, frame.width, kGrid);
    svg += text_at(frame.left - 8, y + 4, "end", 12, kInk, tick_text(value));
  }
  for (const double value : ticks(frame.x.low, frame.x.high, static_cast<int>(frame.width / 90))) {
    const double x = frame.px(value);
    svg +=
        fmt::format("<path d=\"M{:.1f} {:.1f}v{:.1f}\" stroke=\"{}\"/>\n", x, frame.top, frame.height, kGrid);
    if (x_labels) svg += text_at(x, bottom + 18, "middle", 12, kInk, tick_text(value));
  }
  return svg + fmt::format("<path d=\"M{:.1f} {:.1f}V{:.1f}h{:.1f}\" stroke=\"#888888\" fill=\"none\"/>\n",
                           frame.left, frame.top, bottom, frame.width);
}

std::string draw_box(const Frame& frame, const Box& box) {
  const double left = frame.px(box.left);
  const double top = box.high ? frame.py(*box.high) : frame.top;
  const double bottom = box.low ? frame.py(*box.low) : frame.top + frame.height;
  return fmt::format(
      "<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\" fill=\"{}\" "
      "fill-opacity=\"{}\"/>\n",
      left, top, std::max(frame.px(box.right) - left, 0.0), std::max(bottom - top, 0.0), box.color,
      box.opacity);
}

std::string draw_line(const Frame& frame, const Line& line) {
  std::string path;
  bool pen_down = false;
  for (const auto& point : line.points) {
    const bool finite = std::isfinite(point.x) && std::isfinite(point.y);
    if (finite)
      path += fmt::format("{}{:.1f} {:.1f}", pen_down ? "L" : "M", frame.px(point.x), frame.py(point.y));
    pen_down = finite;
  }
  if (path.empty()) return "";
  return fmt::format(
      "<path d=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"{}\" stroke-opacity=\"{}\" "
      "stroke-linejoin=\"round\" "
      "stroke-linecap=\"round\"{}/>\n",
      path, line.color, line.width, line.opacity, line.dashed ? " stroke-dasharray=\"7 5\"" : "");
}

std::string draw_marker(const Frame& frame, const Marker& marker) {
  const double x = frame.px(marker.at.x);
  const double y = frame.py(marker.at.y);
  std::string svg = fmt::format(
      "<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"{}\" fill=\"{}\" stroke=\"white\" stroke-width=\"1.2\"/>\n", x,
      y, marker.radius, marker.color);
  if (marker.note.empty()) return svg;
  const bool at_right = frame.x.share(marker.at.x) > 0.7;  // no room to the right of it
  const double shift = at_right ? -9 : 9;
  const double x_text = x + shift;
  const double y_text = std::max(y - 7, frame.top + 12);
  const char* anchor = at_right ? "end" : "start";
  // White behind the letters, so that they can be read over a curve.
  svg += text_at(x_text, y_text, anchor, 12, "white", marker.note, " stroke=\"white\" stroke-width=\"3\"");
  return svg + text_at(x_text, y_text, anchor, 12, kInk, marker.note);
}

// Right-aligned in the row of the panel's title.
std::string legend(const Frame& frame, const Panel& panel) {
  std::string svg;
  double right = frame.left + frame.width;
  const double y = frame.top - 12;
  const auto item = [&](const std::string& label, const std::string& symbol_format) {
    right -= 6.7 * static_cast<double>(label.size());
    svg += text_at(right, y + 4, "start", 12, kInk, label);
    right -= 30;
    svg += fmt::format("<g transform=\"translate({:.1f} {:.1f})\">{}</g>\n", right, y, symbol_format);
    right -= 18;
  };
  for (auto line = panel.lines.rbegin(); line != panel.lines.rend(); ++line)
    if (!line->label.empty())
      item(line->label, fmt::format("<path d=\"M0 0h22\" stroke=\"{}\" stroke-width=\"3\"{}/>", line->color,
                                    line->dashed ? " stroke-dasharray=\"7 5\"" : ""));
  for (auto box = panel.boxes.rbegin(); box != panel.boxes.rend(); ++box)
    if (!box->label.empty())
      item(box->label,
           fmt::format("<rect y=\"-6\" width=\"22\" height=\"12\" fill=\"{}\" fill-opacity=\"{}\"/>",
                       box->color, std::min(2 * box->opacity, 1.0)));
  return svg;
}

// `id` names the clipping rectangle.
std::string draw_panel(const Frame& frame, const Panel& panel, bool x_labels, std::size_t id) {
  std::string svg =
      text_at(frame.left, frame.top - 8, "start", 14, kInk, panel.title, " font-weight=\"600\"");
  svg += legend(frame, panel);
  svg += fmt::format(
      "<clipPath id=\"panel{}\"><rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" "
      "height=\"{:.1f}\"/></clipPath>\n",
      id, frame.left, frame.top - 4, frame.width + 4, frame.height + 8);
  const std::string clipped = fmt::format("<g clip-path=\"url(#panel{})\">\n", id);
  svg += clipped;
  for (const auto& box : panel.boxes) svg += draw_box(frame, box);
  svg += "</g>\n" + axes(frame, x_labels) + clipped;
  for (const auto& line : panel.lines) svg += draw_line(frame, line);
  svg += "</g>\n";
  for (const auto& marker : panel.markers) svg += draw_marker(frame, marker);
  return svg;
}

}  // namespace

std::vector<double> ticks(double low, double high, int wanted) {
  if (!std::isfinite(low) || !std::isfinite(high) || low > high) return {};
  if (low == high) return {low};
  const double rough = (high - low) / std::max(wanted, 1);
  const double power = std::pow(10, std::floor(std::log10(rough)));
  double step = 10 * power;
  for (const double factor : {1.0, 2.0, 5.0})
    if (factor * power >= rough * 0.999) {
      step = factor * power;
      break;
    }
  std::vector<double> result;
  do {
    result.clear();
    for (double i = std::ceil(low / step - 1e-9); i * step <= high + 1e-9 * step; ++i)
      result.push_back(i * step);
    step /= 2;
  } while (result.empty());
  return result;
}

std::vector<DataPoint> thinned(const std::vector<DataPoint>& points, std::size_t columns) {
  if (points.size() <= 2 * columns) return points;
  std::vector<DataPoint> kept;
  for (std::size_t column = 0; column < columns; ++column) {
    const auto first = points.begin() + static_cast<std::ptrdiff_t>(points.size() * column / columns);
    const auto last = points.begin() + static_cast<std::ptrdiff_t>(points.size() * (column + 1) / columns);
    const auto lower = [](const DataPoint& a, const DataPoint& b) { return a.y < b.y; };
    const auto [least, most] = std::minmax_element(first, last, lower);
    kept.push_back(*std::min(least, most));
    if (least != most) kept.push_back(*std::max(least, most));
  }
  return kept;
}

std::vector<DataPoint> smoothed(const std::vector<DataPoint>& points, std::size_t reach) {
  std::vector<double> sums(1, 0);  // of the finite values before a point
  std::vector<std::size_t> counts(1, 0);
  for (const auto& point : points) {
    const bool finite = std::isfinite(point.y);
    sums.push_back(sums.back() + (finite ? point.y : 0));
    counts.push_back(counts.back() + (finite ? 1 : 0));
  }
  std::vector<DataPoint> result = points;
  for (std::size_t i = 0; i < points.size(); ++i) {
    const std::size_t after = points.size() - 1 - i;
    const std::size_t near = std::clamp(std::min(i, after), reach / 3, reach);
    const std::size_t first = i - std::min(near, i);
    const std::size_t last = i + std::min(near, after) + 1;
    if (const std::size_t count = counts[last] - counts[first]; count > 0)
      result[i].y = (sums[last] - sums[first]) / static_cast<double>(count);
  }
  return result;
}

std::string to_svg(const Chart& chart) {
  std::string svg = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{1}\" viewBox=\"0 0 {0} {1}\" "
      "font-family=\"Helvetica, Arial, 'DejaVu Sans', sans-serif\">\n<rect width=\"{0}\" height=\"{1}\" "
      "fill=\"white\"/>\n",
      chart.width, chart.height);
  svg += text_at(kLeft, 28, "start", 17, "#111111", chart.title, " font-weight=\"600\"");
  double shares = 0;
  for (const auto& panel : chart.panels) shares += panel.share;
  const double room = chart.height - kTop - kBottom - kPanelTitle * static_cast<double>(chart.panels.size());
  const Range x = x_range(chart);
  double top = kTop;
  for (std::size_t i = 0; i < chart.panels.size(); ++i) {
    const Panel& panel = chart.panels[i];
    Frame frame{.left = kLeft,
                .top = top + kPanelTitle,
                .width = chart.width - kLeft - kRight,
                .height = room * panel.share / shares,
                .x = x,
                .y = y_range(panel)};
    svg += draw_panel(frame, panel, i + 1 == chart.panels.size(), i);
    top = frame.top + frame.height;
  }
  svg += text_at(kLeft + (chart.width - kLeft - kRight) / 2, chart.height - 14, "middle", 13, kInk,
                 chart.x_label);
  return svg + "</svg>\n";
}

}  // namespace dcl::densecl::report
