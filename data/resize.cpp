#include "data/resize.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "data/filter_kernels.h"
#include "tensor/check.h"

namespace dcl::data {

namespace {

// One axis.
struct Filter {
  std::vector<std::int32_t> weights;
  std::vector<Taps> taps;
};

Filter triangle(std::int64_t in, std::int64_t out) {
  const double scale = static_cast<double>(in) / static_cast<double>(out);
  const double support = std::max(1.0, scale);
  Filter filter;
  const std::int64_t most_taps = static_cast<std::int64_t>(std::ceil(support)) * 2 + 1;
  filter.weights.assign(static_cast<std::size_t>(out * most_taps), 0);
  std::vector<double> w(static_cast<std::size_t>(most_taps));
  for (std::int64_t i = 0; i < out; ++i) {
    const double centre = (static_cast<double>(i) + 0.5) * scale;
    const auto first = std::max<std::int64_t>(0, static_cast<std::int64_t>(centre - support + 0.5));
    const auto end = std::min(in, static_cast<std::int64_t>(centre + support + 0.5));
    double sum = 0;
    for (std::int64_t x = first; x < end; ++x) {
      const double distance = std::abs((static_cast<double>(x) - centre + 0.5) * (1.0 / support));
      sum += w[static_cast<std::size_t>(x - first)] = distance < 1 ? 1 - distance : 0;
    }
    std::int32_t* const weights = filter.weights.data() + i * most_taps;
    for (std::int64_t k = 0; k < end - first; ++k)
      weights[k] = static_cast<std::int32_t>(0.5 + w[static_cast<std::size_t>(k)] / sum * (1 << kWeightBits));
    filter.taps.push_back({weights, first, end - first});
  }
  return filter;
}

// Rows y … y + kRowsAtOnce - 1 of the box side by side, [columns, kRowsAtOnce, 4]. Rows beyond the box are
// not set.
void gather_rows(const Image& image, const CropBox& box, std::int64_t y,
                 std::vector<std::uint8_t>& gathered) {
  for (std::int64_t r = 0; r < std::min(kRowsAtOnce, box.height - y); ++r) {
    const std::uint8_t* from = image.row(box.top + y + r) + box.left * 3;
    std::uint8_t* to = gathered.data() + r * 4;
    for (std::int64_t x = 0; x + 1 < box.width; ++x, from += 3, to += kRowsAtOnce * 4)
      std::memcpy(to, from, 4);
    std::memcpy(to, from, 3);  // behind the last pixel the picture may end
  }
}

// The box's rows, `width` pixels wide.
Image narrowed(const Image& image, const CropBox& box, std::int64_t width) {
  const Filter across = triangle(box.width, width);
  Image narrow(width, box.height);
  std::vector<std::uint8_t> gathered(static_cast<std::size_t>(box.width * kRowsAtOnce * 4));
  std::vector<std::uint8_t> nowhere(static_cast<std::size_t>(width * 3));  // for rows beyond the box
  for (std::int64_t y = 0; y < box.height; y += kRowsAtOnce) {
    gather_rows(image, box, y, gathered);
    std::array<std::uint8_t*, kRowsAtOnce> rows{};
    for (std::int64_t r = 0; r < kRowsAtOnce; ++r)
      rows[static_cast<std::size_t>(r)] = y + r < box.height ? narrow.row(y + r) : nowhere.data();
    filter_kernels().resample_rows(gathered.data(), across.taps.data(), width, rows.data());
  }
  return narrow;
}

}  // namespace

Image crop_resize(const Image& image, const CropBox& box, std::int64_t width, std::int64_t height) {
  check(box.top >= 0 && box.left >= 0 && box.height > 0 && box.width > 0 &&
            box.top + box.height <= image.height && box.left + box.width <= image.width,
        "crop: box {}×{} at ({}, {}) is not inside the picture of {}×{}", box.width, box.height, box.left,
        box.top, image.width, image.height);
  check(width > 0 && height > 0, "resize: to {}×{}", width, height);
  const Image narrow = narrowed(image, box, width);
  const Filter down = triangle(box.height, height);
  Image out(width, height);
  for (std::int64_t y = 0; y < height; ++y)
    filter_kernels().resample_column(narrow.pixels.data(), down.taps[static_cast<std::size_t>(y)], width * 3,
                                     out.row(y));
  return out;
}

}  // namespace dcl::data
