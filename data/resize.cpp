#include "data/resize.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "data/filter_kernels.h"
#include "tensor/check.h"

namespace dcl::data {

namespace {

// One axis.
struct Filter {
  std::vector<std::int32_t> weights;
  std::vector<WeightPair> pairs;
  std::vector<Taps> taps;
};

// weights[0 … count) in pairs.
void split(const std::int32_t* weights, std::int64_t count, WeightPair* pairs) {
  constexpr std::int32_t lower = (1 << kLowerBits) - 1;
  for (std::int64_t k = 0; k < count; ++k) {
    pairs[k / 2].upper[k % 2] = static_cast<std::int16_t>(weights[k] >> kLowerBits);
    pairs[k / 2].lower[k % 2] = static_cast<std::int16_t>(weights[k] & lower);
  }
}

Filter triangle(std::int64_t in, std::int64_t out) {
  const double scale = static_cast<double>(in) / static_cast<double>(out);
  const double support = std::max(1.0, scale);
  Filter filter;
  const std::int64_t most_pairs = static_cast<std::int64_t>(std::ceil(support)) + 1;
  filter.weights.assign(static_cast<std::size_t>(out * most_pairs * 2), 0);
  filter.pairs.assign(static_cast<std::size_t>(out * most_pairs), {});
  filter.taps.reserve(static_cast<std::size_t>(out));
  std::vector<double> w(static_cast<std::size_t>(most_pairs * 2));
  for (std::int64_t i = 0; i < out; ++i) {
    const double centre = (static_cast<double>(i) + 0.5) * scale;
    const auto first = std::max<std::int64_t>(0, static_cast<std::int64_t>(centre - support + 0.5));
    const auto end = std::min(in, static_cast<std::int64_t>(centre + support + 0.5));
    double sum = 0;
    for (std::int64_t x = first; x < end; ++x) {
      const double distance = std::abs((static_cast<double>(x) - centre + 0.5) * (1.0 / support));
      sum += w[static_cast<std::size_t>(x - first)] = distance < 1 ? 1 - distance : 0;
    }
    std::int32_t* const weights = filter.weights.data() + i * most_pairs * 2;
    WeightPair* const pairs = filter.pairs.data() + i * most_pairs;
    for (std::int64_t k = 0; k < end - first; ++k)
      weights[k] = static_cast<std::int32_t>(0.5 + w[static_cast<std::size_t>(k)] / sum * (1 << kWeightBits));
    split(weights, end - first, pairs);
    filter.taps.push_back({weights, pairs, first, end - first});
  }
  return filter;
}

// Rows of bytes with some room behind each. Their memory is used again.
struct Rows {
  std::int64_t stride = 0;
  std::vector<std::uint8_t> bytes;

  void resize(std::int64_t rows, std::int64_t row_bytes) {
    stride = row_bytes + kReadBeyond;
    bytes.resize(static_cast<std::size_t>(rows * stride));
  }
  std::uint8_t* row(std::int64_t y) { return bytes.data() + y * stride; }
};

// The box's rows, `width` pixels wide.
void narrow_rows(const Image& image, const CropBox& box, std::int64_t width, Rows& narrow) {
  const Filter across = triangle(box.width, width);
  narrow.resize(box.height, width * 3);
  Rows copies;  // of rows behind which the picture ends
  copies.resize(kRowsAtOnce, box.width * 3);
  std::vector<std::uint8_t> nowhere(static_cast<std::size_t>(narrow.stride));  // for rows beyond the box
  const std::uint8_t* const end = image.pixels.data() + image.pixels.size();
  for (std::int64_t y = 0; y < box.height; y += kRowsAtOnce) {
    std::array<const std::uint8_t*, kRowsAtOnce> from{};
    std::array<std::uint8_t*, kRowsAtOnce> to{};
    for (std::size_t r = 0; r < kRowsAtOnce; ++r) {
      const std::int64_t at = y + static_cast<std::int64_t>(r);
      const std::uint8_t* row = image.row(box.top + std::min(at, box.height - 1)) + box.left * 3;
      if (end - row < box.width * 3 + kReadBeyond)
        row = std::copy_n(row, box.width * 3, copies.row(static_cast<std::int64_t>(r))) - box.width * 3;
      from[r] = row;
      to[r] = at < box.height ? narrow.row(at) : nowhere.data();
    }
    filter_kernels().resample_rows(from.data(), across.taps.data(), width, to.data());
  }
}

}  // namespace

void check_box(const CropBox& box, std::int64_t width, std::int64_t height) {
  check(box.top >= 0 && box.left >= 0 && box.height > 0 && box.width > 0 && box.height <= height - box.top &&
            box.width <= width - box.left,
        "crop: box {}×{} at ({}, {}) is not inside the picture of {}×{}", box.width, box.height, box.left,
        box.top, width, height);
}

Image crop_resize(const Image& image, const CropBox& box, std::int64_t width, std::int64_t height) {
  check_box(box, image.width, image.height);
  check(width > 0 && height > 0, "resize: to {}×{}", width, height);
  thread_local Rows narrow;
  narrow_rows(image, box, width, narrow);
  const Filter down = triangle(box.height, height);
  Image out(width, height);
  for (std::int64_t y = 0; y < height; ++y)
    filter_kernels().resample_column(narrow.bytes.data(), narrow.stride,
                                     down.taps[static_cast<std::size_t>(y)], width * 3, out.row(y));
  keep_if_small(narrow.bytes);
  return out;
}

}  // namespace dcl::data
