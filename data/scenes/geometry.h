// The small vocabulary of the drawing code: points and colours.
#pragma once

#include <algorithm>
#include <cmath>

namespace dcl::data::scenes {

/// Pixels, x to the right and y down, unless a function says otherwise.
struct Point {
  float x = 0;
  float y = 0;
};

constexpr Point operator+(Point a, Point b) { return {a.x + b.x, a.y + b.y}; }
constexpr Point operator-(Point a, Point b) { return {a.x - b.x, a.y - b.y}; }
constexpr Point operator*(Point a, float s) { return {a.x * s, a.y * s}; }
constexpr float dot(Point a, Point b) { return a.x * b.x + a.y * b.y; }
inline float length(Point a) { return std::sqrt(dot(a, a)); }

/// A rotation, kept as cosine and sine because it is applied to every sample.
struct Rotation {
  float cosine = 1;
  float sine = 0;

  static Rotation of(double angle) {
    return {static_cast<float>(std::cos(angle)), static_cast<float>(std::sin(angle))};
  }
  constexpr Point operator()(Point p) const { return {cosine * p.x + sine * p.y, cosine * p.y - sine * p.x}; }
};

/// Red, green and blue, 0 to 1, as stored in the file (not linear light).
struct Color {
  float r = 0;
  float g = 0;
  float b = 0;
};

constexpr Color operator+(Color a, Color b) { return {a.r + b.r, a.g + b.g, a.b + b.b}; }
constexpr Color operator*(Color a, Color b) { return {a.r * b.r, a.g * b.g, a.b * b.b}; }
constexpr Color operator*(Color a, float s) { return {a.r * s, a.g * s, a.b * s}; }
constexpr Color mix(Color a, Color b, float t) { return a * (1 - t) + b * t; }

/// floor(x) of |x| < 2^31. The standard library's is a call where the baseline instruction set has no
/// rounding, and it stood for a third of the drawing time.
constexpr int floor_int(float x) {
  const int truncated = static_cast<int>(x);
  return truncated - (x < static_cast<float>(truncated) ? 1 : 0);
}

/// Hermite step: 0 up to `low`, 1 from `high` on.
constexpr float smoothstep(float low, float high, float x) {
  const float t = std::clamp((x - low) / (high - low), 0.0F, 1.0F);
  return t * t * (3 - 2 * t);
}

}  // namespace dcl::data::scenes
