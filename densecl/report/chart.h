// Line charts as SVG text: panels one below the other that share the horizontal axis.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace dcl::densecl::report {

/// In the units of the data. A value that is not finite breaks a line.
struct DataPoint {
  double x = 0;
  double y = 0;
};

struct Line {
  std::string label;  // in the legend, unless empty
  std::string color;  // as SVG writes it, "#4878d0"
  std::vector<DataPoint> points;
  double width = 2;  // pixels
  double opacity = 1;
  bool dashed = false;
};

/// A filled rectangle behind the lines. Without `low` and `high` it takes the panel's whole height.
struct Box {
  std::string label;
  std::string color;
  double left = 0, right = 0;
  std::optional<double> low = {}, high = {};
  double opacity = 0.2;
};

struct Marker {
  DataPoint at;
  std::string color;
  std::string note;   // beside it, unless empty
  double radius = 4;  // pixels
};

struct Panel {
  std::string title;
  std::vector<Box> boxes = {};
  std::vector<Line> lines = {};
  std::vector<Marker> markers = {};
  std::optional<double> low = {}, high = {};  // of the vertical axis; otherwise the data's
  double share = 1;                           // of the height, relative to the other panels
};

struct Chart {
  std::string title;
  std::string x_label;
  int width = 900;  // pixels
  int height = 600;
  std::vector<Panel> panels;
};

std::string to_svg(const Chart& chart);

/// Round numbers (1, 2 or 5 times a power of ten apart) inside [low, high], about `wanted` of them, at least
/// one.
std::vector<double> ticks(double low, double high, int wanted);
/// The points that matter on `columns` columns of pixels: the smallest and the largest of each column.
std::vector<DataPoint> thinned(const std::vector<DataPoint>& points, std::size_t columns);
/// Each value becomes the mean of itself and up to `reach` neighbours on either side: towards the ends fewer,
/// as many on both sides, so that a slope stays where it is, but not fewer than a third of `reach`.
std::vector<DataPoint> smoothed(const std::vector<DataPoint>& points, std::size_t reach);

}  // namespace dcl::densecl::report
