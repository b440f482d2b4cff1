#include "data/blur.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "data/filter_kernels.h"
#include "tensor/check.h"

namespace dcl::data {

namespace {

constexpr int kPasses = 3;

// box_radius() below kMostRadius + 1, without its root.
static_assert(4 * kMostSigma * kMostSigma + 1 < (2 * kMostRadius + 3) * (2 * kMostRadius + 3));

// Eqs. 7, 11 and 14 of the paper, in Pillow's mixture of float and double.
float box_radius(float sigma) {
  const float variance = sigma * sigma / kPasses;
  const auto length = static_cast<float>(std::sqrt(12.0 * variance + 1.0));
  const auto whole = static_cast<float>(std::floor((length - 1.0) / 2.0));
  float part = (2 * whole + 1) * (whole * (whole + 1) - 3 * variance);
  part /= 6 * (variance - (whole + 1) * (whole + 1));
  return whole + part;
}

// All passes over one row of pixels. `line` has room for radius + 1 pixels more on either side.
void blur_row(std::uint8_t* row, std::int64_t width, const BlurBox& box, std::vector<std::uint8_t>& line) {
  const std::int64_t margin = box.radius + 1;
  for (int i = 0; i < kPasses; ++i) {
    std::uint8_t* to = line.data();
    for (std::int64_t x = 0; x < margin; ++x, to += 3) std::copy_n(row, 3, to);
    to = std::copy_n(row, width * 3, to);
    for (std::int64_t x = 0; x < margin; ++x, to += 3) std::copy_n(row + (width - 1) * 3, 3, to);
    filter_kernels().box_row(line.data() + margin * 3, width * 3, 3, box.radius, box.weight, box.edge, row);
  }
}

// One pass down the columns of a picture of rows of `n` bytes. The running sums of all columns move together.
void blur_columns(const Image& in, Image& out, const BlurBox& box, std::vector<std::uint16_t>& sums) {
  const std::int64_t n = in.width * 3;
  const auto row = [&](std::int64_t y) { return in.row(std::clamp<std::int64_t>(y, 0, in.height - 1)); };
  std::fill(sums.begin(), sums.end(), std::uint16_t{0});
  for (std::int64_t y = -box.radius - 1; y < box.radius; ++y) {  // the sums around row -1
    const std::uint8_t* from = row(y);
    for (std::int64_t i = 0; i < n; ++i)
      sums[static_cast<std::size_t>(i)] =
          static_cast<std::uint16_t>(sums[static_cast<std::size_t>(i)] + from[i]);
  }
  for (std::int64_t y = 0; y < in.height; ++y)
    filter_kernels().box_column(row(y - box.radius - 1), row(y + box.radius), row(y + box.radius + 1), n,
                                box.weight, box.edge, sums.data(), out.row(y));
}

}  // namespace

BlurBox blur_box(double sigma) {
  check(sigma >= 0 && sigma <= kMostSigma, "blur: sigma is {}, expected 0 to {}", sigma, kMostSigma);
  const float r = box_radius(static_cast<float>(sigma));
  BlurBox box;
  box.radius = static_cast<std::int32_t>(r);
  box.weight = static_cast<std::uint32_t>(static_cast<float>(1 << 24) / (r * 2 + 1));
  box.edge = ((1U << 24) - static_cast<std::uint32_t>(box.radius * 2 + 1) * box.weight) / 2;
  return box;
}

void gaussian_blur(Image& image, double sigma) {
  const BlurBox box = blur_box(sigma);
  if (box.changes_nothing() || image.pixels.empty()) return;
  std::vector<std::uint16_t> sums(static_cast<std::size_t>(image.width * 3));
  std::vector<std::uint8_t> line(static_cast<std::size_t>((image.width + 2 * (box.radius + 1)) * 3));
  for (std::int64_t y = 0; y < image.height; ++y) blur_row(image.row(y), image.width, box, line);
  Image other(image.width, image.height);
  for (int i = 0; i < kPasses; ++i) {
    blur_columns(image, other, box, sums);
    std::swap(image.pixels, other.pixels);
  }
}

}  // namespace dcl::data
