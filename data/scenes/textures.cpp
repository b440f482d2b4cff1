#include "data/scenes/textures.h"

#include <cmath>
#include <numbers>

namespace dcl::data::scenes {

// smoothstep(0, 1, t) of a t that lies there already.
static constexpr float fade(float t) { return t * t * (3 - 2 * t); }

std::uint32_t lattice_hash(std::int32_t x, std::int32_t y, std::uint32_t salt) {
  std::uint32_t h = static_cast<std::uint32_t>(x) * 0x8DA6B343U ^
                    static_cast<std::uint32_t>(y) * 0xD8163841U ^ salt * 0xCB1AB31FU;
  h = (h ^ (h >> 15)) * 0x2C1B3C6DU;
  h = (h ^ (h >> 12)) * 0x297A2D39U;
  return h ^ (h >> 15);
}

float value_noise(Point p, std::uint32_t salt) {
  const int x = floor_int(p.x);
  const int y = floor_int(p.y);
  const float s = fade(p.x - static_cast<float>(x));
  const float t = fade(p.y - static_cast<float>(y));
  const auto value = [&](std::int32_t dx, std::int32_t dy) {
    return static_cast<float>(lattice_hash(x + dx, y + dy, salt) >> 8) * 0x1p-24F;
  };
  const float upper = value(0, 0) * (1 - s) + value(1, 0) * s;
  const float lower = value(0, 1) * (1 - s) + value(1, 1) * s;
  return upper * (1 - t) + lower * t;
}

namespace {

constexpr float kPi = std::numbers::pi_v<float>;

float fraction(float x) { return x - static_cast<float>(floor_int(x)); }

bool odd(int cell) { return (cell & 1) != 0; }

// Distance from x to the nearest integer, 0 to 0.5.
float to_integer(float x) { return std::abs(fraction(x + 0.5F) - 0.5F); }

float fractal_noise(Point p, std::uint32_t salt, int octaves) {
  float sum = 0;
  float weight = 0.5F;
  for (int i = 0; i < octaves; ++i) {
    sum += weight * value_noise(p, salt + static_cast<std::uint32_t>(i));
    p = p * 2.03F;
    weight *= 0.5F;
  }
  return sum / (1 - 2 * weight);
}

float dots(Point p, float duty) {
  // Every other row is shifted by half a cell.
  const Point cell = {fraction(p.x + (odd(floor_int(p.y)) ? 0.5F : 0.0F)) - 0.5F, fraction(p.y) - 0.5F};
  return length(cell) < 0.2F + 0.25F * duty ? 1.0F : 0.0F;
}

float bricks(Point p) {
  const int row = floor_int(p.y * 1.4F);
  const float x = p.x * 0.7F + (odd(row) ? 0.5F : 0.0F);
  const bool mortar = to_integer(x) < 0.07F || to_integer(p.y * 1.4F) < 0.13F;
  if (mortar) return 1;
  const auto hash = lattice_hash(floor_int(x), row, 1);
  return 0.3F * static_cast<float>(hash & 0xFF) / 255;
}

// The nearest of the two hexagonal lattices' centres; light inside, dark walls.
float honeycomb(Point p) {
  constexpr float kTall = 1.7320508F;
  const float row = p.y / kTall;
  const Point a = {fraction(p.x + 0.5F) - 0.5F, kTall * (fraction(row + 0.5F) - 0.5F)};
  const Point b = {fraction(p.x) - 0.5F, kTall * (fraction(row) - 0.5F)};
  const Point c = dot(a, a) < dot(b, b) ? a : b;
  const float edge = std::max(std::abs(c.x), 0.5F * std::abs(c.x) + 0.8660254F * std::abs(c.y));
  return edge < 0.4F ? 1.0F : 0.0F;
}

float plaid(Point p, float duty) {
  const float across = fraction(p.x) < duty ? 0.5F : 0.0F;
  const float down = fraction(p.y) < duty ? 0.5F : 0.0F;
  return across + down;
}

float marble(Point p, std::uint32_t salt) {
  const float warp = 4 * fractal_noise(p * 0.5F, salt, 3);
  return 0.5F + 0.5F * std::sin(kPi * (p.x + warp));
}

float speckle(Point p, std::uint32_t salt) {
  const float spots = value_noise(p * 3, salt);
  return 0.35F * value_noise(p * 0.4F, salt + 7) + (spots > 0.72F ? 0.65F : 0.0F);
}

float pattern_value(const Texture& t, Point p) {
  switch (t.pattern) {
    case Pattern::dots:
      return dots(p, t.duty);
    case Pattern::stripes:
      return fraction(p.x) < t.duty ? 1.0F : 0.0F;
    case Pattern::checker:
      return odd(floor_int(2 * p.x) + floor_int(2 * p.y)) ? 1.0F : 0.0F;
    case Pattern::bricks:
      return bricks(p);
    case Pattern::clouds:
      return smoothstep(0.25F, 0.75F, fractal_noise(p, t.salt, 4));
    case Pattern::plaid:
      return plaid(p, t.duty);
    case Pattern::gradient:
      return 0.5F - 0.5F * std::cos(0.55F * kPi * p.x);
    case Pattern::honeycomb:
      return honeycomb(p);
    case Pattern::waves:
      return fraction(p.x + 0.22F * std::sin(2 * kPi * 0.7F * p.y)) < t.duty ? 1.0F : 0.0F;
    case Pattern::chevrons:
      return fraction(p.x + 2 * to_integer(0.6F * p.y)) < t.duty ? 1.0F : 0.0F;
    case Pattern::fog:
      return fractal_noise(p * 0.6F, t.salt, 3);
    case Pattern::marble:
      return marble(p, t.salt);
    case Pattern::speckle:
      return speckle(p, t.salt);
    case Pattern::grain:
      return fractal_noise({p.x * 2.5F, p.y * 0.25F}, t.salt, 3);
  }
  return 0;
}

Color from_hsv(double hue, double saturation, double value) {
  const auto channel = [&](double offset) {
    const double k = std::fmod(offset + hue * 6, 6.0);
    return static_cast<float>(value - value * saturation * std::clamp(std::min(k, 4 - k), 0.0, 1.0));
  };
  return {channel(5), channel(3), channel(1)};
}

}  // namespace

Color sample(const Texture& texture, Point p) {
  const Point q = texture.rotation(p) * (1 / texture.period) + texture.phase;
  return mix(texture.dark, texture.light, pattern_value(texture, q));
}

Color random_color(tensor::RandomStream& random, double least_saturation, double most_saturation,
                   double least_value, double most_value) {
  const double hue = random.uniform();
  const double saturation = random.uniform(least_saturation, most_saturation);
  return from_hsv(hue, saturation, random.uniform(least_value, most_value));
}

Texture random_texture(tensor::RandomStream& random, Pattern pattern, float period) {
  Texture t;
  t.pattern = pattern;
  t.dark = random_color(random, 0.3, 1.0, 0.1, 0.5);
  t.light = random_color(random, 0.05, 0.85, 0.65, 1.0);
  if (random.chance(0.5)) std::swap(t.dark, t.light);
  t.rotation = Rotation::of(random.uniform(0, 2 * std::numbers::pi));
  t.period = period;
  t.phase = {static_cast<float>(random.uniform(-50, 50)), static_cast<float>(random.uniform(-50, 50))};
  t.duty = static_cast<float>(random.uniform(0.35, 0.65));
  t.salt = random.bits();
  return t;
}

}  // namespace dcl::data::scenes
