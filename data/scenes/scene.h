// A synthetic scene: 1 to 6 objects of ten classes, told apart by outline and texture, partly hiding each
// other in front of a cluttered background, under light and shadow of any direction. Everything follows from
// (seed, index, size).
#pragma once

#include <cstdint>
#include <vector>

#include "data/scenes/background.h"
#include "data/scenes/shapes.h"

namespace dcl::data::scenes {

inline constexpr int kMostObjects = 6;
inline constexpr int kLeastSide = 32;
inline constexpr int kMostSide = 4096;

/// One object as placed. Class and texture family go together; colour, angle, size and stretch are free.
struct Placement {
  Shape shape = Shape::disc;
  Point center;
  float radius = 1;  // pixels: the outline lies within it
  Rotation rotation;
  float stretch = 1;  // height over width in its own frame, at most 1
  float bevel = 0;    // how much the rim darkens
  Texture texture;

  /// Signed distance in pixels (an underestimate when stretched).
  float distance(Point p) const;
  bool contains(Point p) const;
};

/// Light over the whole picture.
struct Light {
  Point direction;     // unit vector towards the light
  Color tint;          // exposure included
  float falloff = 0;   // relative change from the middle to a corner along `direction`
  float shadow = 0;    // how dark cast shadows are, 0 to 1
  float softness = 1;  // pixels, width of a shadow's border
  float height = 0;    // of objects over the ground, as a share of their radius: length of a shadow
  float grain = 0;     // standard deviation of the sensor's noise, levels
  std::uint32_t salt = 0;
};

/// Everything that defines a picture, before it is drawn.
struct SceneLayout {
  int width = 0;
  int height = 0;
  Background background;
  std::vector<Placement> objects;  // front to back
  std::vector<bool> truncated;     // reaches over the picture's border
  std::vector<bool> occluded;      // partly hidden by objects in front
  Light light;
};

/// An object as annotated; pixel coordinates from 0, `right` and `bottom` inclusive.
struct SceneObject {
  int label = 0;  // index into kClassNames
  int left = 0, top = 0, right = 0, bottom = 0;
  std::int64_t pixels = 0;  // visible
  bool truncated = false;
  bool occluded = false;
};

struct Scene {
  int width = 0;
  int height = 0;
  std::vector<std::uint8_t> rgb;   // [height, width, 3]
  std::vector<std::uint8_t> mask;  // [height, width]: 0 background, else 1 + label of the object seen there
  std::vector<SceneObject> objects;
};

struct SceneOptions {
  int width = 192;
  int height = 144;
  std::uint64_t seed = 0;
};

/// Objects are placed front to back; one that would be hidden too far by those before it is tried elsewhere.
SceneLayout lay_out(const SceneOptions& options, std::int64_t index);
/// Draws with four samples a pixel. The mask takes the object that most samples of a pixel see.
Scene draw(const SceneLayout& layout);

}  // namespace dcl::data::scenes
