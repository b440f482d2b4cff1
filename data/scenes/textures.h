// Procedural textures: ten families for the objects (one a class) and four quiet ones for backgrounds.
#pragma once

#include <cstdint>

#include "data/scenes/geometry.h"
#include "tensor/random.h"

namespace dcl::data::scenes {

enum class Pattern {
  // Objects, in the order of the classes.
  dots,
  stripes,
  checker,
  bricks,
  clouds,
  plaid,
  gradient,
  honeycomb,
  waves,
  chevrons,
  // Backgrounds.
  fog,
  marble,
  speckle,
  grain,
};

/// A pattern between two colours. Coordinates are turned by `rotation`, divided by `period` and moved by
/// `phase` before the pattern sees them.
struct Texture {
  Pattern pattern = Pattern::clouds;
  Color dark;
  Color light;
  Rotation rotation;
  float period = 8;  // pixels
  Point phase;
  float duty = 0.5F;       // share of the light colour in a period, where the pattern has one
  std::uint32_t salt = 0;  // of the noise
};

/// The texture's colour at `p` (pixels, in the frame that the texture belongs to).
Color sample(const Texture& texture, Point p);

/// Smooth noise in [0, 1): random values on the integer lattice, Hermite-interpolated.
float value_noise(Point p, std::uint32_t salt);
/// 32 well-mixed bits of a lattice point.
std::uint32_t lattice_hash(std::int32_t x, std::int32_t y, std::uint32_t salt);

/// A random colour of hue, saturation and value in the given ranges.
Color random_color(tensor::RandomStream& random, double least_saturation, double most_saturation,
                   double least_value, double most_value);
/// A random texture of this pattern: angle, phase and a dark and a light colour, of any hue.
Texture random_texture(tensor::RandomStream& random, Pattern pattern, float period);

}  // namespace dcl::data::scenes
