#include <cmath>
#include <numbers>

#include "data/scenes/scene.h"

namespace dcl::data::scenes {
namespace {

constexpr double kLeastVisible = 0.35;  // of an object's whole area
constexpr double kOccludedBelow = 0.95;
constexpr int kTries = 30;

// Texture family of each class.
constexpr Pattern pattern_of(Shape shape) { return static_cast<Pattern>(shape); }

Placement random_object(tensor::RandomStream& random, float side, float scale) {
  Placement object;
  object.shape = static_cast<Shape>(random.below(kClasses));
  object.radius = side * scale * static_cast<float>(std::exp(random.uniform(std::log(0.14), std::log(0.38))));
  object.rotation = Rotation::of(random.uniform(0, 2 * std::numbers::pi));
  object.stretch = static_cast<float>(random.uniform(0.75, 1));
  object.bevel = static_cast<float>(random.uniform(0.1, 0.5));
  const bool gradient = pattern_of(object.shape) == Pattern::gradient;
  const float cell = object.radius * static_cast<float>(random.uniform(0.28, 0.5));
  object.texture =
      random_texture(random, pattern_of(object.shape), gradient ? object.radius : std::max(cell, 4.5F));
  return object;
}

// Near another object, so that they overlap, or anywhere.
Point random_center(tensor::RandomStream& random, const SceneLayout& layout, float radius) {
  const auto w = static_cast<float>(layout.width);
  const auto h = static_cast<float>(layout.height);
  if (!layout.objects.empty() && random.chance(0.6)) {
    const auto& other = layout.objects[random.below(static_cast<std::uint32_t>(layout.objects.size()))];
    const double angle = random.uniform(0, 2 * std::numbers::pi);
    const float reach = (radius + other.radius) * static_cast<float>(random.uniform(0.4, 0.95));
    const Point p = other.center +
                    Point{static_cast<float>(std::cos(angle)), static_cast<float>(std::sin(angle))} * reach;
    return {std::clamp(p.x, 0.0F, w), std::clamp(p.y, 0.0F, h)};
  }
  const float margin = 0.4F * radius;
  return {static_cast<float>(random.uniform(margin, w - margin)),
          static_cast<float>(random.uniform(margin, h - margin))};
}

struct Visibility {
  double share = 0;  // of the object's whole area
  bool truncated = false;
  bool occluded = false;
};

// Counts on a grid of about 24 x 24 points over the object.
Visibility visibility(const SceneLayout& layout, const Placement& object) {
  const float step = std::max(object.radius / 12, 1.0F);
  std::int64_t whole = 0;
  std::int64_t in_picture = 0;
  std::int64_t seen = 0;
  for (float y = -object.radius; y <= object.radius; y += step)
    for (float x = -object.radius; x <= object.radius; x += step) {
      const Point p = object.center + Point{x, y};
      if (!object.contains(p)) continue;
      ++whole;
      const bool inside = 0 <= p.x && p.x < static_cast<float>(layout.width) && 0 <= p.y &&
                          p.y < static_cast<float>(layout.height);
      if (!inside) continue;
      ++in_picture;
      const bool hidden = std::any_of(layout.objects.begin(), layout.objects.end(),
                                      [&](const Placement& front) { return front.contains(p); });
      if (!hidden) ++seen;
    }
  if (whole == 0) return {};
  return {static_cast<double>(seen) / static_cast<double>(whole), in_picture < whole,
          static_cast<double>(seen) < kOccludedBelow * static_cast<double>(in_picture)};
}

void add_object(tensor::RandomStream& random, SceneLayout& layout, float scale) {
  const auto side = static_cast<float>(std::min(layout.width, layout.height));
  Placement object = random_object(random, side, scale);
  for (int attempt = 0; attempt < kTries; ++attempt) {
    object.center = random_center(random, layout, object.radius);
    const Visibility seen = visibility(layout, object);
    if (seen.share < kLeastVisible) continue;
    layout.objects.push_back(object);
    layout.truncated.push_back(seen.truncated);
    layout.occluded.push_back(seen.occluded);
    return;
  }
}

Light random_light(tensor::RandomStream& random, float side) {
  const double angle = random.uniform(0, 2 * std::numbers::pi);
  Light light;
  light.direction = {static_cast<float>(std::cos(angle)), static_cast<float>(std::sin(angle))};
  const auto exposure = static_cast<float>(random.uniform(0.75, 1.25));
  const auto warmth = static_cast<float>(random.uniform(-0.12, 0.12));
  light.tint = Color{1 + warmth, 1, 1 - warmth} * exposure;
  light.falloff = static_cast<float>(random.uniform(0, 0.5));
  light.shadow = static_cast<float>(random.uniform(0.15, 0.65));
  light.softness = side * static_cast<float>(random.uniform(0.01, 0.06));
  light.height = static_cast<float>(random.uniform(0.1, 0.45));
  light.grain = static_cast<float>(random.uniform(0, 5));
  light.salt = random.bits();
  return light;
}

}  // namespace

float Placement::distance(Point p) const {
  const Point q = rotation(p - center) * (1 / radius);
  return signed_distance(shape, {q.x, q.y / stretch}) * stretch * radius;
}

bool Placement::contains(Point p) const {
  const Point offset = p - center;
  return dot(offset, offset) < radius * radius && distance(p) < 0;
}

SceneLayout lay_out(const SceneOptions& options, std::int64_t index) {
  check(kLeastSide <= options.width && options.width <= kMostSide && kLeastSide <= options.height &&
            options.height <= kMostSide,
        "scenes: size is {}x{}, sides must be {} to {}", options.width, options.height, kLeastSide,
        kMostSide);
  tensor::RandomStream random({.seed = options.seed,
                               .purpose = tensor::Purpose::scenes,
                               .sample = static_cast<std::uint64_t>(index)});
  SceneLayout layout;
  layout.width = options.width;
  layout.height = options.height;
  layout.background = random_background(random, options.width, options.height);
  layout.light = random_light(random, static_cast<float>(std::min(options.width, options.height)));
  const auto wanted = static_cast<int>(1 + random.below(kMostObjects));
  const float scale = wanted <= 2 ? 1.15F : wanted <= 4 ? 1.0F : 0.85F;
  for (int i = 0; i < wanted || layout.objects.empty(); ++i) add_object(random, layout, scale);
  return layout;
}

}  // namespace dcl::data::scenes
