// The outlines of the ten classes, as signed distances in a unit frame.
#pragma once

#include <array>
#include <string_view>

#include "data/scenes/geometry.h"

namespace dcl::data::scenes {

enum class Shape { disc, ring, square, triangle, star, cross, crescent, hexagon, heart, arrow };

/// Names of the classes in the order of Shape; class c of a mask is kClassNames[c - 1], 0 is background.
inline constexpr std::array<std::string_view, 10> kClassNames = {
    "disc", "ring", "square", "triangle", "star", "cross", "crescent", "hexagon", "heart", "arrow"};
inline constexpr int kClasses = static_cast<int>(kClassNames.size());

/// Distance from `p` to the outline, negative inside; every shape lies within the unit circle around the
/// origin. Away from the outline the value may be smaller than the true distance, never of the wrong sign.
/// Formulas after Quilez, "2D distance functions".
float signed_distance(Shape shape, Point p);

}  // namespace dcl::data::scenes
