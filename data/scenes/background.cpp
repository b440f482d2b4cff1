#include "data/scenes/background.h"

#include <cmath>
#include <limits>
#include <numbers>

namespace dcl::data::scenes {
namespace {

// Colours of one picture stay near each other: nature's backgrounds are quieter than the objects on them.
void soften(Texture& texture, Color mood, double contrast) {
  const Color middle = mix(mix(texture.dark, texture.light, 0.5F), mood, 0.55F);
  texture.dark = mix(middle, texture.dark, static_cast<float>(contrast));
  texture.light = mix(middle, texture.light, static_cast<float>(contrast));
}

Pattern quiet_pattern(tensor::RandomStream& random) {
  constexpr Pattern kQuiet[] = {Pattern::fog,   Pattern::marble, Pattern::speckle,
                                Pattern::grain, Pattern::clouds, Pattern::gradient};
  return kQuiet[random.below(std::size(kQuiet))];
}

Clutter random_clutter(tensor::RandomStream& random, float width, float height, Color mood) {
  const float side = std::min(width, height);
  Clutter c;
  c.kind = static_cast<ClutterKind>(random.below(3));
  c.center = {static_cast<float>(random.uniform(0, width)), static_cast<float>(random.uniform(0, height))};
  c.radius = side * static_cast<float>(std::exp(random.uniform(std::log(0.04), std::log(0.3))));
  c.rotation = Rotation::of(random.uniform(0, 2 * std::numbers::pi));
  c.thinness = static_cast<float>(c.kind == ClutterKind::stroke ? random.uniform(0.05, 0.2)
                                                                : random.uniform(0.25, 0.5));
  const auto period = static_cast<float>(random.uniform(0.08, 0.25)) * side;
  c.texture = random_texture(random, quiet_pattern(random), period);
  soften(c.texture, mood, random.uniform(0.3, 0.8));
  return c;
}

}  // namespace

bool Clutter::contains(Point p) const {
  const Point offset = p - center;
  const float squared = dot(offset, offset);
  if (squared > radius * radius) return false;
  const Point q = rotation(offset) * (1 / radius);
  switch (kind) {
    case ClutterKind::stroke: {
      const float beyond = std::max(std::abs(q.x) - (1 - thinness), 0.0F);
      return length({beyond, q.y}) < thinness;
    }
    case ClutterKind::ellipse:
      return length({q.x, q.y / thinness}) < 1;
    case ClutterKind::clump:
      return value_noise(offset * (6 / radius), texture.salt) > 0.3F + 0.6F * length(q);
  }
  return false;
}

Point Background::border_shift(Point p) const {
  if (patches.size() == 1) return {};
  return Point{value_noise(p * 0.06F, warp_salt) - 0.5F, value_noise(p * 0.06F, warp_salt + 1) - 0.5F} * warp;
}

std::size_t Background::surface(Point p, Point shift, const std::vector<std::size_t>& candidates) const {
  for (const std::size_t i : candidates)
    if (clutter[i].contains(p)) return i;
  std::size_t nearest = 0;
  float least = std::numeric_limits<float>::max();
  for (std::size_t i = 0; i < patches.size(); ++i) {
    const Point offset = p + shift - patches[i].site;
    if (const float squared = dot(offset, offset); squared < least) {
      least = squared;
      nearest = i;
    }
  }
  return clutter.size() + nearest;
}

Color Background::sample(std::size_t surface, Point p) const {
  if (surface < clutter.size()) return scenes::sample(clutter[surface].texture, p - clutter[surface].center);
  return scenes::sample(patches[surface - clutter.size()].texture, p);
}

Background random_background(tensor::RandomStream& random, int width, int height) {
  const auto w = static_cast<float>(width);
  const auto h = static_cast<float>(height);
  const float side = std::min(w, h);
  const Color mood = random_color(random, 0.05, 0.6, 0.25, 0.85);
  Background background;
  const std::uint32_t patches = 1 + random.below(5);
  for (std::uint32_t i = 0; i < patches; ++i) {
    Patch patch;
    patch.site = {static_cast<float>(random.uniform(-0.1, 1.1)) * w,
                  static_cast<float>(random.uniform(-0.1, 1.1)) * h};
    const auto period = static_cast<float>(random.uniform(0.08, 0.4)) * side;
    patch.texture = random_texture(random, quiet_pattern(random), period);
    soften(patch.texture, mood, random.uniform(0.25, 0.6));
    background.patches.push_back(patch);
  }
  background.warp = static_cast<float>(random.uniform(0, 0.4)) * side;
  background.warp_salt = random.bits();
  const std::uint32_t clutter = 4 + random.below(17);
  for (std::uint32_t i = 0; i < clutter; ++i)
    background.clutter.push_back(random_clutter(random, w, h, mood));
  return background;
}

}  // namespace dcl::data::scenes
