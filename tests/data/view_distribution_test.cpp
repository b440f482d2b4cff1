// The drawn numbers against the distributions they are meant to have: 100,000 draws, and bounds that a right
// one keeps with a probability of more than 0.999999.
#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <numeric>

#include <gtest/gtest.h>

#include "data/augment.h"

namespace dcl::data {
namespace {

constexpr int kDraws = 100'000;
constexpr double kErrors = 5;  // standard errors of a normal variable: p = 5.7e-7
// Dvoretzky, Kiefer, Wolfowitz and Massart: P(D √n > x) <= 2 exp(-2 x²), so for that p:
const double kKolmogorov = std::sqrt(-std::log(5.7e-7 / 2) / 2);

std::vector<std::array<ViewParams, 2>> pairs(std::int64_t width, std::int64_t height,
                                             const AugmentOptions& options = {}) {
  std::vector<std::array<ViewParams, 2>> all;
  all.reserve(kDraws);
  for (int i = 0; i < kDraws; ++i)
    all.push_back(draw_pair(width, height, options, {.seed = 11, .epoch = 3, .sample = i}));
  return all;
}

// The largest distance of the sample's distribution from `cdf`, times √n.
template <class Cdf>
double kolmogorov(std::vector<double> values, const Cdf& cdf) {
  std::sort(values.begin(), values.end());
  const auto n = static_cast<double>(values.size());
  double worst = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double f = cdf(values[i]);
    worst = std::max({worst, f - static_cast<double>(i) / n, static_cast<double>(i + 1) / n - f});
  }
  return worst * std::sqrt(n);
}

auto uniform_cdf(double low, double high) {
  return [=](double x) { return std::clamp((x - low) / (high - low), 0.0, 1.0); };
}

// Of counts that are equally likely, in deviations of the chi-square distribution made normal (Wilson and
// Hilferty, 1931).
double chi_square_errors(const std::vector<int>& counts) {
  const double n = std::accumulate(counts.begin(), counts.end(), 0.0);
  const double expected = n / static_cast<double>(counts.size());
  double sum = 0;
  for (const int count : counts) sum += (count - expected) * (count - expected) / expected;
  const double k = static_cast<double>(counts.size() - 1);
  const double deviation = std::sqrt(2 / (9 * k));
  return (std::cbrt(sum / k) - (1 - 2 / (9 * k))) / deviation;
}

void expect_share(double count, double n, double probability, const std::string& what) {
  const double error = std::sqrt(probability * (1 - probability) / n);
  EXPECT_NEAR(count / n, probability, kErrors * error + 1e-12) << what;
}

TEST(ViewDistribution, ProbabilitiesOfEachView) {
  AugmentOptions options;
  options.key = ViewOptions{};
  options.key->jitter_probability = 0.3;
  options.key->grayscale_probability = 0.6;
  options.key->blur_probability = 0.1;
  options.key->flip_probability = 0.9;
  options.key->solarize_probability = 0.25;
  std::array<std::array<int, 5>, 2> counts{};
  for (const auto& pair : pairs(500, 375, options))
    for (std::size_t view = 0; view < 2; ++view) {
      const ViewParams& p = pair[view];
      const std::array<bool, 5> drawn{p.jitter.has_value(), p.grayscale, p.blur_sigma.has_value(), p.flip,
                                      p.solarize_threshold.has_value()};
      for (std::size_t i = 0; i < 5; ++i) counts[view][i] += drawn[i] ? 1 : 0;
    }
  const std::array<std::array<double, 5>, 2> expected{{{0.8, 0.2, 0.5, 0.5, 0}, {0.3, 0.6, 0.1, 0.9, 0.25}}};
  const std::array<const char*, 5> names{"jitter", "grayscale", "blur", "flip", "solarize"};
  for (std::size_t view = 0; view < 2; ++view)
    for (std::size_t i = 0; i < 5; ++i)
      expect_share(counts[view][i], kDraws, expected[view][i],
                   names[i] + std::string(view == 0 ? "" : " of the key"));
}

TEST(ViewDistribution, JitterAndBlurAreUniformInTheirRanges) {
  AugmentOptions options;
  options.contrast = 0.3;
  options.saturation = 1.5;  // from 0, not from -0.5
  std::map<JitterKind, std::vector<double>> factors;
  std::map<std::array<JitterKind, 4>, int> orders;
  std::vector<double> sigmas;
  for (const auto& pair : pairs(500, 375, options)) {
    const ViewParams& params = pair[0];
    if (params.blur_sigma) sigmas.push_back(*params.blur_sigma);
    if (!params.jitter) continue;
    std::array<JitterKind, 4> order{};
    for (std::size_t i = 0; i < 4; ++i) {
      order[i] = (*params.jitter)[i].kind;
      factors[order[i]].push_back((*params.jitter)[i].factor);
    }
    ++orders[order];
  }
  EXPECT_LT(kolmogorov(sigmas, uniform_cdf(0.1, 2.0)), kKolmogorov);
  EXPECT_LT(kolmogorov(factors[JitterKind::brightness], uniform_cdf(0.6, 1.4)), kKolmogorov);
  EXPECT_LT(kolmogorov(factors[JitterKind::contrast], uniform_cdf(0.7, 1.3)), kKolmogorov);
  EXPECT_LT(kolmogorov(factors[JitterKind::saturation], uniform_cdf(0, 2.5)), kKolmogorov);
  EXPECT_LT(kolmogorov(factors[JitterKind::hue], uniform_cdf(-0.1, 0.1)), kKolmogorov);
  ASSERT_EQ(orders.size(), 24U);
  std::vector<int> counts;
  for (const auto& [order, count] : orders) counts.push_back(count);
  EXPECT_LT(chi_square_errors(counts), kErrors);
}

// The law of a try: a share s of the area, uniform, and a ratio, log-uniform, which are kept where the box
// fits the picture. Integrated on a grid of s and of log ratio; boxes are rounded, so one of w fits up to
// width + 1/2.
class CropLaw {
 public:
  CropLaw(std::int64_t width, std::int64_t height, const ViewOptions& o) : options_(o) {
    const double a = std::log(o.crop_ratio.low);
    const double b = std::log(o.crop_ratio.high);
    const double area = static_cast<double>(width) * static_cast<double>(height);
    const double most_w = 2 * std::log(static_cast<double>(width) + 0.5);
    const double most_h = 2 * std::log(static_cast<double>(height) + 0.5);
    const double step = (o.crop_scale.high - o.crop_scale.low) / kGrid;
    // At a share s the box is s·A·r wide, squared, and s·A/r high: the log ratio that fits is an interval.
    for (int i = 0; i < kGrid; ++i) {
      const double log_area = std::log(area * (o.crop_scale.low + (i + 0.5) * step));
      const double high = std::min(b, most_w - log_area);
      const double low = std::max(a, log_area - most_h);
      by_share_[static_cast<std::size_t>(i) + 1] =
          by_share_[static_cast<std::size_t>(i)] + std::max(0.0, high - low) / (b - a) / kGrid;
    }
    // At a log ratio u the share ends where the box is as wide or as high as the picture.
    for (int i = 0; i < kGrid; ++i) {
      const double u = a + (i + 0.5) * (b - a) / kGrid;
      const double most =
          std::min({o.crop_scale.high, std::exp(most_w - u) / area, std::exp(most_h + u) / area});
      by_ratio_[static_cast<std::size_t>(i) + 1] =
          by_ratio_[static_cast<std::size_t>(i)] +
          std::max(0.0, most - o.crop_scale.low) / (o.crop_scale.high - o.crop_scale.low) / kGrid;
    }
  }

  double accepted() const { return by_share_.back(); }
  double share_cdf(double s) const {
    return at(by_share_, uniform_cdf(options_.crop_scale.low, options_.crop_scale.high)(s));
  }
  double log_ratio_cdf(double u) const {
    return at(by_ratio_,
              uniform_cdf(std::log(options_.crop_ratio.low), std::log(options_.crop_ratio.high))(u));
  }

 private:
  static constexpr int kGrid = 20'000;
  using Cdf = std::vector<double>;

  static double at(const Cdf& cdf, double place) {
    const double x = place * kGrid;
    const auto i = std::min(static_cast<std::size_t>(x), static_cast<std::size_t>(kGrid - 1));
    return std::lerp(cdf[i], cdf[i + 1], x - static_cast<double>(i)) / cdf.back();
  }

  ViewOptions options_;
  Cdf by_share_ = Cdf(kGrid + 1);
  Cdf by_ratio_ = Cdf(kGrid + 1);
};

// Areas and log ratios of the boxes that are not the crop of last resort; how many those are.
struct Crops {
  std::vector<double> shares;
  std::vector<double> log_ratios;
  double last_resort = 0;
};

Crops crops_of(std::int64_t width, std::int64_t height, const AugmentOptions& options,
               const CropBox& resort) {
  Crops crops;
  for (const auto& pair : pairs(width, height, options)) {
    const CropBox& box = pair[0].crop;
    EXPECT_TRUE(box.top >= 0 && box.left >= 0 && box.top + box.height <= height &&
                box.left + box.width <= width);
    crops.last_resort += box == resort ? 1 : 0;
    if (box == resort) continue;
    const auto w = static_cast<double>(box.width);
    const auto h = static_cast<double>(box.height);
    crops.shares.push_back(w * h / (static_cast<double>(width) * static_cast<double>(height)));
    crops.log_ratios.push_back(std::log(w / h));
  }
  return crops;
}

// Every first try fits, so area and log ratio are uniform as they are. A range of ratios that is its own
// inverse looks the same with width and height the wrong way round: hence the second.
TEST(ViewDistribution, CropsThatAlwaysFitAreUniformInAreaAndLogRatio) {
  const std::int64_t side = 1 << 20;  // rounding to pixels does not show
  AugmentOptions options;
  options.crop_scale = {0.1, 0.25};
  for (const Range& ratio : {Range{3.0 / 4, 4.0 / 3}, Range{0.5, 3}}) {
    options.crop_ratio = ratio;
    const Crops crops = crops_of(side, side, options, {});
    EXPECT_LT(kolmogorov(crops.shares, uniform_cdf(0.1, 0.25)), kKolmogorov);
    EXPECT_LT(kolmogorov(crops.log_ratios, uniform_cdf(std::log(ratio.low), std::log(ratio.high))),
              kKolmogorov);
  }
}

TEST(ViewDistribution, CropsOfTheDefaultRecipeFollowTheLawOfATry) {
  const std::int64_t width = 44'000;
  const std::int64_t height = 40'000;
  const CropLaw law(width, height, {});
  EXPECT_GT(law.accepted(), 0.8);
  EXPECT_LT(law.accepted(), 0.95);  // rejection matters
  const Crops crops = crops_of(width, height, {}, {0, 0, height, width});
  EXPECT_LE(crops.last_resort, 1);
  EXPECT_LT(kolmogorov(crops.shares, [&](double s) { return law.share_cdf(s); }), kKolmogorov);
  EXPECT_LT(kolmogorov(crops.log_ratios, [&](double u) { return law.log_ratio_cdf(u); }), kKolmogorov);
}

// Long pictures reject most tries: the last resort comes after ten of them.
TEST(ViewDistribution, TheCropOfLastResortComesAfterTenTries) {
  const std::int64_t width = 120'000;
  const std::int64_t height = 24'000;
  const CropLaw law(width, height, {});
  const double expected = std::pow(1 - law.accepted(), 10);
  EXPECT_GT(expected, 0.1);
  EXPECT_LT(expected, 0.9);
  const Crops crops = crops_of(width, height, {}, {0, 44'000, height, 32'000});
  expect_share(crops.last_resort, kDraws, expected, "last resort");
  EXPECT_LT(kolmogorov(crops.shares, [&](double s) { return law.share_cdf(s); }), kKolmogorov);
  EXPECT_LT(kolmogorov(crops.log_ratios, [&](double u) { return law.log_ratio_cdf(u); }), kKolmogorov);
}

// Each place where a box of 50 x 50 fits, both ends included.
TEST(ViewDistribution, OffsetsAreUniformOverTheAllowedIntegers) {
  AugmentOptions options;
  options.crop_scale = {0.25, 0.25};
  options.crop_ratio = {1, 1};
  std::vector<int> tops(51);
  std::vector<int> lefts(51);
  for (const auto& pair : pairs(100, 100, options)) {
    const CropBox& box = pair[1].crop;
    ASSERT_TRUE(box.width == 50 && box.height == 50);
    ++tops.at(static_cast<std::size_t>(box.top));
    ++lefts.at(static_cast<std::size_t>(box.left));
  }
  EXPECT_LT(chi_square_errors(tops), kErrors);
  EXPECT_LT(chi_square_errors(lefts), kErrors);
}

// A view as numbers that do not depend on one another, each of mean 0 where they are independent of whether
// they are drawn at all.
std::vector<double> numbers_of(const ViewParams& p, double side) {
  const auto w = static_cast<double>(p.crop.width);
  const auto h = static_cast<double>(p.crop.height);
  std::vector<double> numbers = {w * h / (side * side),
                                 std::log(w / h),
                                 static_cast<double>(p.crop.top) / (side - h),
                                 static_cast<double>(p.crop.left) / (side - w),
                                 p.jitter ? 1.0 : 0.0,
                                 p.grayscale ? 1.0 : 0.0,
                                 p.blur_sigma ? 1.0 : 0.0,
                                 p.blur_sigma ? *p.blur_sigma - 1.05 : 0.0,
                                 p.flip ? 1.0 : 0.0,
                                 p.solarize_threshold ? 1.0 : 0.0};
  std::array<double, 4> factors{};
  std::array<double, 4> places{};
  for (std::size_t i = 0; p.jitter && i < 4; ++i) {
    const auto kind = static_cast<std::size_t>((*p.jitter)[i].kind);
    factors[kind] = (*p.jitter)[i].factor - (kind == 3 ? 0 : 1);
    places[kind] = static_cast<double>(i) - 1.5;
  }
  numbers.insert(numbers.end(), factors.begin(), factors.end());
  numbers.push_back(places[0]);  // the four add up to 0: one of them stands for the order
  return numbers;
}

double correlation(const std::vector<std::vector<double>>& rows, std::size_t i, std::size_t j) {
  double x = 0, y = 0, xx = 0, yy = 0, xy = 0;
  for (const auto& row : rows) {
    x += row[i];
    y += row[j];
    xx += row[i] * row[i];
    yy += row[j] * row[j];
    xy += row[i] * row[j];
  }
  const auto n = static_cast<double>(rows.size());
  return (xy / n - x / n * y / n) / std::sqrt((xx / n - x / n * x / n) * (yy / n - y / n * y / n));
}

// Of both views, of the same picture in the next epoch, of the next picture, and under another seed.
TEST(ViewDistribution, AllDrawsAreUncorrelated) {
  const double side = 1 << 20;
  AugmentOptions options;
  options.crop_scale = {0.1, 0.5};
  options.solarize_probability = 0.4;
  std::vector<std::vector<double>> rows;
  for (int i = 0; i < kDraws; ++i) {
    std::vector<double> row;
    for (const PairKey& key :
         {PairKey{5, 0, 2 * i}, PairKey{5, 1, 2 * i}, PairKey{5, 0, 2 * i + 1}, PairKey{6, 0, 2 * i}})
      for (const auto& view : draw_pair(1 << 20, 1 << 20, options, key)) {
        const auto numbers = numbers_of(view, side);
        row.insert(row.end(), numbers.begin(), numbers.end());
      }
    rows.push_back(std::move(row));
  }
  // Between all numbers of the two views, and of those with what other streams gave.
  const std::size_t a_view = rows[0].size() / 8;
  for (std::size_t i = 0; i < 2 * a_view; ++i)
    for (std::size_t j = i + 1; j < rows[0].size(); ++j)
      if (j < 2 * a_view || j % a_view == i % a_view) {
        EXPECT_LT(std::abs(correlation(rows, i, j)), kErrors / std::sqrt(kDraws)) << i << " and " << j;
      }
}

}  // namespace
}  // namespace dcl::data
