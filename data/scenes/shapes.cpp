#include "data/scenes/shapes.h"

#include <cmath>

namespace dcl::data::scenes {
namespace {

float box(Point p, float half_width, float half_height) {
  const float x = std::abs(p.x) - half_width;
  const float y = std::abs(p.y) - half_height;
  return length({std::max(x, 0.0F), std::max(y, 0.0F)}) + std::min(std::max(x, y), 0.0F);
}

// The largest of the signed distances to three sides; each is {outward normal, offset}.
float three_sides(Point p, Point n0, float d0, Point n1, float d1, Point n2, float d2) {
  return std::max({dot(p, n0) - d0, dot(p, n1) - d1, dot(p, n2) - d2});
}

float triangle(Point p) {
  constexpr float kHalf = 0.5F;
  constexpr float kSine60 = 0.8660254F;
  return three_sides(p, {0, 1}, kHalf, {kSine60, -0.5F}, kHalf, {-kSine60, -0.5F}, kHalf);
}

float star(Point p) {
  constexpr float kOuter = 1.0F;
  constexpr float kInner = 0.45F;
  constexpr Point kMirror1 = {0.809016994F, -0.587785252F};
  constexpr Point kMirror2 = {-0.809016994F, -0.587785252F};
  p.x = std::abs(p.x);
  p = p - kMirror1 * (2 * std::max(dot(kMirror1, p), 0.0F));
  p = p - kMirror2 * (2 * std::max(dot(kMirror2, p), 0.0F));
  p.x = std::abs(p.x);
  p.y -= kOuter;
  const Point edge = Point{-kMirror1.y, kMirror1.x} * kInner - Point{0, 1};
  const float along = std::clamp(dot(p, edge) / dot(edge, edge), 0.0F, kOuter);
  const float side = p.y * edge.x - p.x * edge.y;
  return std::copysign(length(p - edge * along), side);
}

float hexagon(Point p) {
  constexpr float kApothem = 0.8660254F;
  const float x = std::abs(p.x);
  const float y = std::abs(p.y);
  return std::max(y, kApothem * x + 0.5F * y) - kApothem;
}

// Two lobes and a point; the unit heart of Quilez spans y from 0 to 1.1, here it is centred.
float heart(Point p) {
  const Point q = {std::abs(p.x) / 1.5F, 0.58F - p.y / 1.5F};
  float distance = 0;
  if (q.y + q.x > 1) {
    distance = length(q - Point{0.25F, 0.75F}) - 0.35355339F;
  } else {
    const Point tip = q - Point{0, 1};
    const Point edge = q - Point{0.5F, 0.5F} * std::max(q.x + q.y, 0.0F);
    distance = std::copysign(std::sqrt(std::min(dot(tip, tip), dot(edge, edge))), q.x - q.y);
  }
  return distance * 1.5F;
}

float arrow(Point p) {
  constexpr Point kUpperSide = {0.6401844F, 0.7682213F};  // from the tip (0.98, 0) to (0.08, 0.75)
  const float tip = kUpperSide.x * 0.98F;
  const float head = three_sides(p, {-1, 0}, -0.08F, kUpperSide, tip, {kUpperSide.x, -kUpperSide.y}, tip);
  const float shaft = box(p - Point{-0.41F, 0}, 0.52F, 0.25F);
  return std::min(head, shaft);
}

}  // namespace

float signed_distance(Shape shape, Point p) {
  switch (shape) {
    case Shape::disc:
      return length(p) - 0.9F;
    case Shape::ring:
      return std::abs(length(p) - 0.72F) - 0.25F;
    case Shape::square:
      return box(p, 0.7F, 0.7F);
    case Shape::triangle:
      return triangle(p);
    case Shape::star:
      return star(p);
    case Shape::cross:
      return std::min(box(p, 0.93F, 0.3F), box(p, 0.3F, 0.93F));
    case Shape::crescent:
      return std::max(length(p) - 0.98F, 0.85F - length(p - Point{0.55F, 0}));
    case Shape::hexagon:
      return hexagon(p);
    case Shape::heart:
      return heart(p);
    case Shape::arrow:
      return arrow(p);
  }
  return 1;
}

}  // namespace dcl::data::scenes
