#include "data/resize.h"

#include <algorithm>
#include <cmath>

#include "tensor/check.h"

namespace dcl::data {

namespace {

constexpr int kPrecision = 22;  // bits behind the point of a weight
constexpr std::int32_t kHalf = 1 << (kPrecision - 1);

// One axis: output i is Σ_k weights[i·taps + k] · in[first[i] + k], k < count[i].
struct Filter {
  std::int64_t taps = 0;
  std::vector<std::int64_t> first;
  std::vector<std::int64_t> count;
  std::vector<std::int32_t> weights;
};

Filter triangle(std::int64_t in, std::int64_t out) {
  const double scale = static_cast<double>(in) / static_cast<double>(out);
  const double support = std::max(1.0, scale);
  Filter filter;
  filter.taps = static_cast<std::int64_t>(std::ceil(support)) * 2 + 1;
  filter.weights.assign(static_cast<std::size_t>(out * filter.taps), 0);
  std::vector<double> w(static_cast<std::size_t>(filter.taps));
  for (std::int64_t i = 0; i < out; ++i) {
    const double centre = (static_cast<double>(i) + 0.5) * scale;
    const auto first = std::max<std::int64_t>(0, static_cast<std::int64_t>(centre - support + 0.5));
    const auto end = std::min(in, static_cast<std::int64_t>(centre + support + 0.5));
    double sum = 0;
    for (std::int64_t x = first; x < end; ++x) {
      const double distance = std::abs((static_cast<double>(x) - centre + 0.5) * (1.0 / support));
      sum += w[static_cast<std::size_t>(x - first)] = distance < 1 ? 1 - distance : 0;
    }
    for (std::int64_t k = 0; k < end - first; ++k)
      filter.weights[static_cast<std::size_t>(i * filter.taps + k)] =
          static_cast<std::int32_t>(0.5 + w[static_cast<std::size_t>(k)] / sum * (1 << kPrecision));
    filter.first.push_back(first);
    filter.count.push_back(end - first);
  }
  return filter;
}

std::uint8_t rounded(std::int32_t sum) {
  return static_cast<std::uint8_t>(std::clamp(sum >> kPrecision, 0, 255));
}

void horizontal_row(const std::uint8_t* in, const Filter& filter, std::uint8_t* out) {
  const std::int32_t* weights = filter.weights.data();
  for (std::size_t i = 0; i < filter.first.size(); ++i, weights += filter.taps, out += 3) {
    const std::uint8_t* pixel = in + filter.first[i] * 3;
    std::int32_t r = kHalf;
    std::int32_t g = kHalf;
    std::int32_t b = kHalf;
    for (std::int64_t k = 0; k < filter.count[i]; ++k, pixel += 3) {
      r += pixel[0] * weights[k];
      g += pixel[1] * weights[k];
      b += pixel[2] * weights[k];
    }
    out[0] = rounded(r);
    out[1] = rounded(g);
    out[2] = rounded(b);
  }
}

// Sums whole rows, so that the inner loop runs along memory.
void vertical_row(const Image& in, const Filter& filter, std::size_t y, std::vector<std::int32_t>& sums,
                  std::uint8_t* out) {
  std::fill(sums.begin(), sums.end(), kHalf);
  const std::int32_t* weights = filter.weights.data() + static_cast<std::int64_t>(y) * filter.taps;
  const std::size_t n = sums.size();
  for (std::int64_t k = 0; k < filter.count[y]; ++k) {
    const std::uint8_t* row = in.row(filter.first[y] + k);
    const std::int32_t weight = weights[k];
    for (std::size_t i = 0; i < n; ++i) sums[i] += row[i] * weight;
  }
  for (std::size_t i = 0; i < n; ++i) out[i] = rounded(sums[i]);
}

}  // namespace

Image crop_resize(const Image& image, const CropBox& box, std::int64_t width, std::int64_t height) {
  check(box.top >= 0 && box.left >= 0 && box.height > 0 && box.width > 0 &&
            box.top + box.height <= image.height && box.left + box.width <= image.width,
        "crop: box {}×{} at ({}, {}) is not inside the picture of {}×{}", box.width, box.height, box.left,
        box.top, image.width, image.height);
  check(width > 0 && height > 0, "resize: to {}×{}", width, height);
  const Filter across = triangle(box.width, width);
  const Filter down = triangle(box.height, height);
  Image narrow(width, box.height);
  for (std::int64_t y = 0; y < box.height; ++y)
    horizontal_row(image.row(box.top + y) + box.left * 3, across, narrow.row(y));
  Image out(width, height);
  std::vector<std::int32_t> sums(static_cast<std::size_t>(width * 3));
  for (std::int64_t y = 0; y < height; ++y)
    vertical_row(narrow, down, static_cast<std::size_t>(y), sums, out.row(y));
  return out;
}

}  // namespace dcl::data
