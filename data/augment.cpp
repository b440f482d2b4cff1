#include "data/augment.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "data/blur.h"
#include "data/color.h"
#include "data/color_kernels.h"
#include "data/pixel_math.h"
#include "tensor/check.h"

namespace dcl::data {

namespace {

void check_probability(const char* name, double value) {
  check(value >= 0 && value <= 1, "augmentation: {} is {}, expected 0 to 1", name, value);
}

void check_range(const char* name, const Range& range, double least, double most) {
  check(range.low >= least && range.low <= range.high && range.high <= most,
        "augmentation: {} is {} to {}, expected an interval inside {} to {}", name, range.low, range.high,
        least, most);
}

void check_strength(const char* name, double value, double most) {
  check(value >= 0 && value <= most, "augmentation: {} is {}, expected 0 to {}", name, value, most);
}

std::int64_t rounded(double value) {
  return static_cast<std::int64_t>(std::nearbyint(value));
}  // half to even

double factor_around_one(double strength, tensor::RandomStream& random) {
  return random.uniform(std::max(0.0, 1 - strength), 1 + strength);
}

std::array<Jitter, 4> draw_jitter(const ViewOptions& o, tensor::RandomStream& random) {
  std::array<Jitter, 4> all{Jitter{JitterKind::brightness, factor_around_one(o.brightness, random)},
                            Jitter{JitterKind::contrast, factor_around_one(o.contrast, random)},
                            Jitter{JitterKind::saturation, factor_around_one(o.saturation, random)},
                            Jitter{JitterKind::hue, random.uniform(-o.hue, o.hue)}};
  for (std::uint32_t i = 3; i > 0; --i) std::swap(all[i], all[random.below(i + 1)]);
  return all;
}

// The largest crop in the middle of the picture whose ratio is allowed.
CropBox centre_crop(std::int64_t width, std::int64_t height, const Range& ratio) {
  const double own = static_cast<double>(width) / static_cast<double>(height);
  CropBox box{0, 0, height, width};
  if (own < ratio.low) box.height = rounded(static_cast<double>(width) / ratio.low);
  if (own > ratio.high) box.width = rounded(static_cast<double>(height) * ratio.high);
  box.height = std::clamp<std::int64_t>(box.height, 1, height);
  box.width = std::clamp<std::int64_t>(box.width, 1, width);
  box.top = (height - box.height) / 2;
  box.left = (width - box.width) / 2;
  return box;
}

void check_view(const ViewOptions& o) {
  check_range("crop scale", o.crop_scale, 1e-6, 1);
  check_range("crop ratio", o.crop_ratio, 1e-3, 1e3);
  check_range("blur sigma", o.blur_sigma, 0, kMostSigma);
  check_probability("jitter probability", o.jitter_probability);
  check_probability("grayscale probability", o.grayscale_probability);
  check_probability("blur probability", o.blur_probability);
  check_probability("flip probability", o.flip_probability);
  check_strength("brightness", o.brightness, 1e3);
  check_strength("contrast", o.contrast, 1e3);
  check_strength("saturation", o.saturation, 1e3);
  check_strength("hue", o.hue, 0.5);
  check_probability("solarize probability", o.solarize_probability);
  check(o.solarize_threshold >= 0 && o.solarize_threshold <= 256,
        "augmentation: solarize threshold is {}, expected 0 to 256", o.solarize_threshold);
}

}  // namespace

void check_options(const AugmentOptions& o) {
  check(o.image_size >= 1 && o.image_size <= 16384, "augmentation: image size is {}, expected 1 to 16384",
        o.image_size);
  for (const std::size_t view : {0, 1}) check_view(o.of_view(view));
}

CropBox draw_crop(std::int64_t width, std::int64_t height, const ViewOptions& o,
                  tensor::RandomStream& random) {
  if (o.crop_scale == Range{1, 1}) return centre_crop(width, height, o.crop_ratio);
  const auto area = static_cast<double>(width) * static_cast<double>(height);
  for (int attempt = 0; attempt < 10; ++attempt) {
    const double target = area * random.uniform(o.crop_scale.low, o.crop_scale.high);
    const double ratio = std::exp(random.uniform(std::log(o.crop_ratio.low), std::log(o.crop_ratio.high)));
    const std::int64_t w = rounded(std::sqrt(target * ratio));
    const std::int64_t h = rounded(std::sqrt(target / ratio));
    if (w <= 0 || h <= 0 || w > width || h > height) continue;
    const auto top = static_cast<std::int64_t>(random.below(static_cast<std::uint32_t>(height - h + 1)));
    const auto left = static_cast<std::int64_t>(random.below(static_cast<std::uint32_t>(width - w + 1)));
    return {top, left, h, w};
  }
  return centre_crop(width, height, o.crop_ratio);
}

ViewParams draw_view(std::int64_t width, std::int64_t height, const ViewOptions& o,
                     tensor::RandomStream& random) {
  ViewParams params;
  params.crop = draw_crop(width, height, o, random);
  if (random.chance(o.jitter_probability)) params.jitter = draw_jitter(o, random);
  params.grayscale = random.chance(o.grayscale_probability);
  if (random.chance(o.blur_probability))
    params.blur_sigma = random.uniform(o.blur_sigma.low, o.blur_sigma.high);
  params.flip = random.chance(o.flip_probability);
  // Last, so that recipes with and without it draw the same before.
  if (random.chance(o.solarize_probability)) params.solarize_threshold = o.solarize_threshold;
  return params;
}

std::array<ViewParams, 2> draw_pair(std::int64_t width, std::int64_t height, const AugmentOptions& options,
                                    const PairKey& pair) {
  std::array<ViewParams, 2> params;
  for (std::size_t view = 0; view < 2; ++view) {
    tensor::RandomStream random({.seed = pair.seed,
                                 .purpose = tensor::Purpose::augmentation,
                                 .epoch = static_cast<std::uint32_t>(pair.epoch),
                                 .sample = static_cast<std::uint64_t>(pair.sample),
                                 .view = static_cast<std::uint8_t>(view)});
    params[view] = draw_view(width, height, options.of_view(view), random);
  }
  return params;
}

void apply_jitter(Image& image, const Jitter& jitter) {
  switch (jitter.kind) {
    case JitterKind::brightness:
      return adjust_brightness(image, jitter.factor);
    case JitterKind::contrast:
      return adjust_contrast(image, jitter.factor);
    case JitterKind::saturation:
      return adjust_saturation(image, jitter.factor);
    case JitterKind::hue:
      return adjust_hue(image, jitter.factor);
  }
}

void change_view(Image& view, const ViewParams& params) {
  if (params.jitter)
    for (const auto& jitter : *params.jitter) apply_jitter(view, jitter);
  if (params.grayscale) grayscale(view);
  if (params.blur_sigma) gaussian_blur(view, *params.blur_sigma);
  if (params.solarize_threshold) solarize(view, *params.solarize_threshold);
  if (params.flip) flip(view);
}

Image apply_view(const Image& image, const ViewParams& params, std::int64_t image_size) {
  Image view = crop_resize(image, params.crop, image_size, image_size);
  change_view(view, params);
  return view;
}

void normalise_view(const Image& view, float* out) {
  static constexpr std::array mean{channel_mean(0), channel_mean(1), channel_mean(2)};
  static constexpr std::array deviation{channel_deviation(0), channel_deviation(1), channel_deviation(2)};
  color_kernels().normalise(view.pixels.data(), view.pixels.size() / 3, mean.data(), deviation.data(), out);
}

}  // namespace dcl::data
