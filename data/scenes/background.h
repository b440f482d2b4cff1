// What stands behind the objects: patches of texture, and clutter that belongs to no class.
#pragma once

#include <cstddef>
#include <vector>

#include "data/scenes/textures.h"

namespace dcl::data::scenes {

/// Cells of a Voronoi diagram with noisy borders, one texture a cell.
struct Patch {
  Point site;
  Texture texture;
};

enum class ClutterKind { stroke, ellipse, clump };

struct Clutter {
  ClutterKind kind = ClutterKind::stroke;
  Point center;
  float radius = 1;  // pixels: nothing lies farther from the centre
  Rotation rotation;
  float thinness = 0.2F;  // short over long axis
  Texture texture;

  bool contains(Point p) const;
};

struct Background {
  std::vector<Patch> patches;
  float warp = 0;  // pixels by which noise moves the borders
  std::uint32_t warp_salt = 0;
  std::vector<Clutter> clutter;  // the first that contains a point is seen

  /// How far noise moves the borders of patches at `p`. It is smooth: one value serves a pixel.
  Point border_shift(Point p) const;
  /// What is seen at `p`: clutter i is i, patch j is clutter.size() + j. Only the clutter in `candidates`
  /// (indices, ascending) is looked at.
  std::size_t surface(Point p, Point shift, const std::vector<std::size_t>& candidates) const;
  /// Colour of a surface at `p`.
  Color sample(std::size_t surface, Point p) const;
};

Background random_background(tensor::RandomStream& random, int width, int height);

}  // namespace dcl::data::scenes
