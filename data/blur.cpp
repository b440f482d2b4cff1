#include "data/blur.h"

#include <algorithm>
#include <cmath>

#include "tensor/check.h"

namespace dcl::data {

namespace {

constexpr int kPasses = 3;

// Eqs. 7, 11 and 14 of the paper, in Pillow's mixture of float and double.
float box_radius(float sigma) {
  const float variance = sigma * sigma / kPasses;
  const auto length = static_cast<float>(std::sqrt(12.0 * variance + 1.0));
  const auto whole = static_cast<float>(std::floor((length - 1.0) / 2.0));
  float part = (2 * whole + 1) * (whole * (whole + 1) - 3 * variance);
  part /= 6 * (variance - (whole + 1) * (whole + 1));
  return whole + part;
}

// out = weight · (2·radius + 1 pixels around) + edge · (the two beyond them), in 24-bit fixed point.
struct Box {
  std::int64_t radius;
  std::uint32_t weight;
  std::uint32_t edge;

  explicit Box(float r)
      : radius(static_cast<std::int64_t>(r)),
        weight(static_cast<std::uint32_t>(static_cast<float>(1 << 24) / (r * 2 + 1))),
        edge(((1U << 24) - static_cast<std::uint32_t>(radius * 2 + 1) * weight) / 2) {}

  std::uint8_t value(std::uint32_t inside, std::uint32_t beyond) const {
    return static_cast<std::uint8_t>((inside * weight + beyond * edge + (1U << 23)) >> 24);
  }
};

// One pass along `n` steps of `width` independent columns: columns of a picture, or of its transpose. The
// running sums of all columns move together, so that the inner loops run along memory.
void pass(const std::uint8_t* in, std::uint8_t* out, std::int64_t n, std::int64_t width, const Box& box,
          std::vector<std::uint32_t>& sums) {
  const auto step = [&](std::int64_t i) { return in + std::clamp<std::int64_t>(i, 0, n - 1) * width; };
  std::fill(sums.begin(), sums.end(), 0U);
  for (std::int64_t i = -box.radius - 1; i < box.radius; ++i) {  // the sums around step -1
    const std::uint8_t* from = step(i);
    for (std::int64_t c = 0; c < width; ++c) sums[static_cast<std::size_t>(c)] += from[c];
  }
  std::uint32_t* acc = sums.data();
  for (std::int64_t i = 0; i < n; ++i) {
    const std::uint8_t* leaves = step(i - box.radius - 1);
    const std::uint8_t* enters = step(i + box.radius);
    const std::uint8_t* beyond = step(i + box.radius + 1);
    std::uint8_t* to = out + i * width;
    for (std::int64_t c = 0; c < width; ++c) {
      acc[c] += static_cast<std::uint32_t>(enters[c]) - leaves[c];
      to[c] = box.value(acc[c], static_cast<std::uint32_t>(leaves[c]) + beyond[c]);
    }
  }
}

// Swaps rows and columns of pixels.
void transpose(const std::vector<std::uint8_t>& in, std::int64_t rows, std::int64_t columns,
               std::vector<std::uint8_t>& out) {
  for (std::int64_t y = 0; y < rows; ++y)
    for (std::int64_t x = 0; x < columns; ++x)
      std::copy_n(in.begin() + (y * columns + x) * 3, 3, out.begin() + (x * rows + y) * 3);
}

// All passes along the first axis of `a`; `b` is scratch of the same size. The result is in `a`.
void blur_axis(std::vector<std::uint8_t>& a, std::vector<std::uint8_t>& b, std::int64_t n, std::int64_t width,
               const Box& box) {
  std::vector<std::uint32_t> sums(static_cast<std::size_t>(width));
  for (int i = 0; i < kPasses; ++i) {
    pass(a.data(), b.data(), n, width, box, sums);
    a.swap(b);
  }
}

}  // namespace

void gaussian_blur(Image& image, double sigma) {
  check(sigma >= 0 && std::isfinite(sigma), "blur: sigma is {}, expected 0 or more", sigma);
  const float radius = box_radius(static_cast<float>(sigma));
  if (radius == 0 || image.pixels.empty()) return;
  const Box box(radius);
  std::vector<std::uint8_t> turned(image.pixels.size());
  transpose(image.pixels, image.height, image.width, turned);
  blur_axis(turned, image.pixels, image.width, image.height * 3, box);  // Pillow blurs along rows first
  transpose(turned, image.width, image.height, image.pixels);
  blur_axis(image.pixels, turned, image.height, image.width * 3, box);
}

}  // namespace dcl::data
