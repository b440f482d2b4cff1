// The drawn numbers against the distributions they are meant to have.
#include <algorithm>
#include <cmath>
#include <map>

#include <gtest/gtest.h>

#include "data/augment.h"

namespace dcl::data {
namespace {

constexpr int kDraws = 20000;

tensor::RandomStream stream(std::int64_t sample, std::uint8_t view = 0) {
  return tensor::RandomStream({.seed = 11,
                               .purpose = tensor::Purpose::augmentation,
                               .sample = static_cast<std::uint64_t>(sample),
                               .view = view});
}

std::vector<ViewParams> draws(std::int64_t width, std::int64_t height, const AugmentOptions& options = {}) {
  std::vector<ViewParams> all;
  for (int i = 0; i < kDraws; ++i) {
    auto random = stream(i);
    all.push_back(draw_view(width, height, options, random));
  }
  return all;
}

// Kolmogorov-Smirnov against a distribution function; at n values a true one stays below 1.95 with p = 0.999.
template <class Cdf>
double kolmogorov(std::vector<double> values, const Cdf& cdf) {
  std::sort(values.begin(), values.end());
  const auto n = static_cast<double>(values.size());
  double worst = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double f = cdf(values[i]);
    worst = std::max(
        {worst, std::abs(f - static_cast<double>(i) / n), std::abs(f - static_cast<double>(i + 1) / n)});
  }
  return worst * std::sqrt(n);
}

auto uniform_cdf(double low, double high) {
  return [=](double x) { return std::clamp((x - low) / (high - low), 0.0, 1.0); };
}

void expect_share(double count, double n, double probability, const char* what) {
  const double deviation = std::sqrt(probability * (1 - probability) / n);
  EXPECT_NEAR(count / n, probability, 3.5 * deviation) << what;
}

TEST(ViewParams, Probabilities) {
  const auto all = draws(500, 375);
  const auto share = [&](auto holds) {
    return static_cast<double>(std::count_if(all.begin(), all.end(), holds));
  };
  expect_share(share([](const auto& p) { return p.jitter.has_value(); }), kDraws, 0.8, "jitter");
  expect_share(share([](const auto& p) { return p.grayscale; }), kDraws, 0.2, "grayscale");
  expect_share(share([](const auto& p) { return p.blur_sigma.has_value(); }), kDraws, 0.5, "blur");
  expect_share(share([](const auto& p) { return p.flip; }), kDraws, 0.5, "flip");
  // Independent of each other.
  expect_share(share([](const auto& p) { return p.flip && p.blur_sigma; }), kDraws, 0.25, "flip and blur");
  expect_share(share([](const auto& p) { return p.grayscale && p.jitter; }), kDraws, 0.16,
               "grayscale and jitter");
}

TEST(ViewParams, JitterAndBlurAreUniformInTheirRanges) {
  std::map<JitterKind, std::vector<double>> factors;
  std::map<std::array<int, 4>, int> orders;
  std::vector<double> sigmas;
  for (const auto& params : draws(500, 375)) {
    if (params.blur_sigma) sigmas.push_back(*params.blur_sigma);
    if (!params.jitter) continue;
    std::array<int, 4> order{};
    for (std::size_t i = 0; i < 4; ++i) {
      factors[(*params.jitter)[i].kind].push_back((*params.jitter)[i].factor);
      order[i] = static_cast<int>((*params.jitter)[i].kind);
    }
    ++orders[order];
  }
  EXPECT_LT(kolmogorov(sigmas, uniform_cdf(0.1, 2.0)), 1.95);
  EXPECT_LT(kolmogorov(factors[JitterKind::brightness], uniform_cdf(0.6, 1.4)), 1.95);
  EXPECT_LT(kolmogorov(factors[JitterKind::contrast], uniform_cdf(0.6, 1.4)), 1.95);
  EXPECT_LT(kolmogorov(factors[JitterKind::saturation], uniform_cdf(0.6, 1.4)), 1.95);
  EXPECT_LT(kolmogorov(factors[JitterKind::hue], uniform_cdf(-0.1, 0.1)), 1.95);
  // All 24 orders, equally often.
  ASSERT_EQ(orders.size(), 24U);
  const double expected = static_cast<double>(factors[JitterKind::hue].size()) / 24;
  double chi_square = 0;
  for (const auto& [order, count] : orders) chi_square += (count - expected) * (count - expected) / expected;
  EXPECT_LT(chi_square, 49.7);  // 23 degrees of freedom, p = 0.001
}

TEST(ViewParams, CropsOfALargePictureHaveTheirAreaAndRatio) {
  // So large that rounding to pixels does not show, and with an area so small that every first try fits.
  const std::int64_t side = 1 << 20;
  AugmentOptions options;
  options.crop_scale = {0.1, 0.5};
  std::vector<double> areas;
  std::vector<double> log_ratios;
  std::vector<double> tops;
  std::vector<double> lefts;
  for (const auto& params : draws(side, side, options)) {
    const CropBox& box = params.crop;
    ASSERT_TRUE(box.top >= 0 && box.left >= 0 && box.top + box.height <= side &&
                box.left + box.width <= side);
    const auto width = static_cast<double>(box.width);
    const auto height = static_cast<double>(box.height);
    areas.push_back(width * height / std::pow(side, 2.0));
    log_ratios.push_back(std::log(width / height));
    tops.push_back(static_cast<double>(box.top) / (static_cast<double>(side) - height));
    lefts.push_back(static_cast<double>(box.left) / (static_cast<double>(side) - width));
  }
  EXPECT_LT(kolmogorov(areas, uniform_cdf(0.1, 0.5)), 1.95);
  EXPECT_LT(kolmogorov(log_ratios, uniform_cdf(std::log(3.0 / 4), std::log(4.0 / 3))), 1.95);
  EXPECT_LT(kolmogorov(tops, uniform_cdf(0, 1)), 1.95);
  EXPECT_LT(kolmogorov(lefts, uniform_cdf(0, 1)), 1.95);
}

TEST(ViewParams, CropsOfSmallPicturesStayInsideAndReachEveryEdge) {
  bool top = false;
  bool bottom = false;
  bool left = false;
  bool right = false;
  for (const auto& params : draws(5, 7)) {
    const CropBox& box = params.crop;
    ASSERT_TRUE(box.top >= 0 && box.left >= 0 && box.height > 0 && box.width > 0);
    ASSERT_TRUE(box.top + box.height <= 7 && box.left + box.width <= 5);
    top |= box.top == 0 && box.height < 7;
    bottom |= box.top > 0 && box.top + box.height == 7;
    left |= box.left == 0 && box.width < 5;
    right |= box.left > 0 && box.left + box.width == 5;
  }
  EXPECT_TRUE(top && bottom && left && right);
}

// Where no try fits: the largest centred crop of an allowed ratio, as torchvision's get_params returns it.
TEST(ViewParams, TheCropOfLastResort) {
  AugmentOptions options;
  options.crop_scale = {1, 1};  // never fits a picture that is longer than 4/3
  auto random = stream(0);
  EXPECT_EQ(draw_crop(1000, 100, options, random), (CropBox{0, 433, 100, 133}));
  EXPECT_EQ(draw_crop(100, 1000, options, random), (CropBox{433, 0, 133, 100}));
  EXPECT_EQ(draw_crop(1, 50, options, random), (CropBox{24, 0, 1, 1}));
  options.crop_ratio = {2, 3};
  EXPECT_EQ(draw_crop(100, 100, options, random), (CropBox{25, 0, 50, 100}));
}

TEST(ViewParams, ViewsAndSamplesDifferAndRepeat) {
  const AugmentOptions options;
  const auto crop_of = [&](std::int64_t sample, std::uint8_t view) {
    auto random = stream(sample, view);
    return draw_view(5000, 5000, options, random).crop;
  };
  EXPECT_EQ(crop_of(3, 0), crop_of(3, 0));
  EXPECT_NE(crop_of(3, 0), crop_of(3, 1));
  EXPECT_NE(crop_of(3, 0), crop_of(4, 0));
}

TEST(ViewParams, NothingIsDrawnThatIsSwitchedOff) {
  AugmentOptions options;
  options.jitter_probability = options.grayscale_probability = options.blur_probability =
      options.flip_probability = 0;
  for (const auto& params : draws(64, 64, options))
    ASSERT_TRUE(!params.jitter && !params.grayscale && !params.blur_sigma && !params.flip);
}

}  // namespace
}  // namespace dcl::data
