#include <array>
#include <cmath>

#include "data/scenes/scene.h"

namespace dcl::data::scenes {
namespace {

constexpr int kSamples = 4;
constexpr int kTile = 16;  // pixels: what lies outside a tile is not looked at inside it
// A rotated grid: neither near-horizontal nor near-vertical edges fall between the samples.
constexpr Point kOffsets[kSamples] = {{0.375F, 0.125F}, {0.875F, 0.375F}, {0.125F, 0.625F}, {0.625F, 0.875F}};

// What four samples of a pixel saw: surfaces below the number of objects are objects, the others background.
struct Pixel {
  Color color;
  std::array<std::size_t, kSamples> seen{};
};

class Renderer {
 public:
  explicit Renderer(const SceneLayout& layout)
      : layout_(layout),
        middle_{0.5F * static_cast<float>(layout.width), 0.5F * static_cast<float>(layout.height)} {}

  /// To be called before the pixels of the tile whose first one is (x, y).
  void begin_tile(int x, int y) {
    const float half = 0.5F * kTile;
    const Point center = {static_cast<float>(x) + half, static_cast<float>(y) + half};
    const auto near = [&](const auto& things, std::vector<std::size_t>& indices) {
      indices.clear();
      for (std::size_t i = 0; i < things.size(); ++i) {
        const Point offset = things[i].center - center;
        const float reach = things[i].radius + half;
        if (std::abs(offset.x) <= reach && std::abs(offset.y) <= reach) indices.push_back(i);
      }
    };
    near(layout_.objects, objects_);
    near(layout_.background.clutter, clutter_);
  }

  /// Outlines and the objects' textures are sampled four times; the background's textures and the light are
  /// smooth and are taken once for each surface that the pixel shows.
  Pixel pixel(int x, int y) const {
    const std::size_t objects = layout_.objects.size();
    const Point corner = {static_cast<float>(x), static_cast<float>(y)};
    const Point center = corner + Point{0.5F, 0.5F};
    const Point shift = layout_.background.border_shift(center);
    Pixel pixel;
    Color behind;
    float lit = 0;
    for (std::size_t s = 0; s < kSamples; ++s) {
      const Point p = corner + kOffsets[s];
      const std::size_t seen = surface(p, shift);
      if (s == 0 || seen != pixel.seen[s - 1]) {
        lit = lighting(center, std::min(seen, objects));
        if (seen >= objects) behind = layout_.background.sample(seen - objects, center);
      }
      pixel.seen[s] = seen;
      const Color color = seen < objects ? shade_object(layout_.objects[seen], p) : behind;
      pixel.color = pixel.color + color * (lit / kSamples);
    }
    pixel.color = pixel.color * layout_.light.tint;
    return pixel;
  }

 private:
  const SceneLayout& layout_;
  Point middle_;
  std::vector<std::size_t> objects_;  // that may be seen in the tile
  std::vector<std::size_t> clutter_;

  std::size_t surface(Point p, Point shift) const {
    for (const std::size_t i : objects_)
      if (layout_.objects[i].contains(p)) return i;
    return layout_.objects.size() + layout_.background.surface(p, shift, clutter_);
  }

  static float facing(const Placement& object, Point offset, Point light) {
    return 1 + 0.25F * dot(offset, light) / object.radius;
  }

  Color shade_object(const Placement& object, Point p) const {
    const Point offset = p - object.center;
    const float rim = smoothstep(-0.12F * object.radius, 0, object.distance(p));
    return sample(object.texture, object.rotation(offset)) *
           (facing(object, offset, layout_.light.direction) * (1 - object.bevel * rim));
  }

  // Of a surface behind the first `in_front` objects.
  float lighting(Point p, std::size_t in_front) const {
    const Light& light = layout_.light;
    const float field = 1 + light.falloff * dot(p - middle_, light.direction) / length(middle_);
    return field * (1 - light.shadow * shadow(p, in_front));
  }

  // How much of the light the objects in front take away, 0 to 1.
  float shadow(Point p, std::size_t in_front) const {
    const Light& light = layout_.light;
    float most = 0;
    for (std::size_t i = 0; i < in_front; ++i) {
      const auto& object = layout_.objects[i];
      const Point caster = p + light.direction * (light.height * object.radius);
      const Point offset = caster - object.center;
      const float reach = object.radius + light.softness;
      if (dot(offset, offset) > reach * reach) continue;
      most = std::max(most, 1 - smoothstep(-light.softness, light.softness, object.distance(caster)));
    }
    return most;
  }
};

// About normal, from the sum of four bytes of a hash: mean 0, standard deviation 1.
float grain(int x, int y, std::uint32_t salt) {
  const std::uint32_t h = lattice_hash(x, y, salt);
  const auto sum = static_cast<float>((h & 0xFF) + ((h >> 8) & 0xFF) + ((h >> 16) & 0xFF) + (h >> 24));
  return (sum - 510) / 147.8F;
}

std::uint8_t to_level(float value) {
  return static_cast<std::uint8_t>(std::clamp(value * 255 + 0.5F, 0.0F, 255.0F));
}

// The surface most samples see; of equals the one in front.
std::size_t majority(const std::array<std::size_t, kSamples>& seen) {
  if (seen[0] == seen[1] && seen[0] == seen[2]) return seen[0];
  std::size_t best = seen[0];
  std::ptrdiff_t most = 0;
  for (const std::size_t candidate : seen) {
    const std::ptrdiff_t votes = std::count(seen.begin(), seen.end(), candidate);
    if (votes > most || (votes == most && candidate < best)) {
      most = votes;
      best = candidate;
    }
  }
  return best;
}

void grow(SceneObject& object, int x, int y) {
  if (object.pixels == 0) object.left = object.right = x, object.top = object.bottom = y;
  object.left = std::min(object.left, x);
  object.right = std::max(object.right, x);
  object.top = std::min(object.top, y);
  object.bottom = std::max(object.bottom, y);
  ++object.pixels;
}

}  // namespace

Scene draw(const SceneLayout& layout) {
  Renderer renderer(layout);
  const std::size_t objects = layout.objects.size();
  Scene scene{.width = layout.width, .height = layout.height, .rgb = {}, .mask = {}, .objects = {}};
  const auto pixels = static_cast<std::size_t>(layout.width) * static_cast<std::size_t>(layout.height);
  scene.rgb.resize(3 * pixels);
  scene.mask.resize(pixels);
  std::vector<SceneObject> found(objects);
  const auto draw_pixel = [&](int x, int y) {
    const Pixel pixel = renderer.pixel(x, y);
    const float noise = layout.light.grain * grain(x, y, layout.light.salt) / 255;
    const auto at =
        static_cast<std::size_t>(y) * static_cast<std::size_t>(layout.width) + static_cast<std::size_t>(x);
    scene.rgb[3 * at] = to_level(pixel.color.r + noise);
    scene.rgb[3 * at + 1] = to_level(pixel.color.g + noise);
    scene.rgb[3 * at + 2] = to_level(pixel.color.b + noise);
    const std::size_t top = majority(pixel.seen);
    if (top >= objects) return;
    scene.mask[at] = static_cast<std::uint8_t>(1 + static_cast<int>(layout.objects[top].shape));
    grow(found[top], x, y);
  };
  for (int tile_y = 0; tile_y < layout.height; tile_y += kTile)
    for (int tile_x = 0; tile_x < layout.width; tile_x += kTile) {
      renderer.begin_tile(tile_x, tile_y);
      for (int y = tile_y; y < std::min(tile_y + kTile, layout.height); ++y)
        for (int x = tile_x; x < std::min(tile_x + kTile, layout.width); ++x) draw_pixel(x, y);
    }
  for (std::size_t i = 0; i < objects; ++i) {
    if (found[i].pixels == 0) continue;  // a sliver that wins no pixel
    found[i].label = static_cast<int>(layout.objects[i].shape);
    found[i].truncated = layout.truncated[i];
    found[i].occluded = layout.occluded[i];
    scene.objects.push_back(found[i]);
  }
  return scene;
}

}  // namespace dcl::data::scenes
