// The two-view augmentation of MoCo-v2 and DenseCL, and BYOL's, whose views differ. What is drawn
// (ViewParams) is separate from what is done with it (apply_view), so that each can be tested against the
// reference on its own.
//
// Chen, Fan, Girshick, He: "Improved Baselines with Momentum Contrastive Learning", 2020.
// Grill et al.: "Bootstrap Your Own Latent: A New Approach to Self-Supervised Learning", 2020, appendix B.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "data/image.h"
#include "data/resize.h"
#include "tensor/random.h"

namespace dcl::data {

struct Range {
  double low = 0;
  double high = 0;
  bool operator==(const Range&) const = default;
};

/// Probabilities and ranges of one view; the defaults are MoCo-v2's.
struct ViewOptions {
  Range crop_scale{0.2, 1.0};              // share of the picture's area
  Range crop_ratio{3.0 / 4.0, 4.0 / 3.0};  // width over height, drawn log-uniformly
  double jitter_probability = 0.8;
  double brightness = 0.4;  // factor from 1 - x to 1 + x, not below 0; likewise the next two
  double contrast = 0.4;
  double saturation = 0.4;
  double hue = 0.1;  // from -x to x, in circles, at most 0.5
  double grayscale_probability = 0.2;
  double blur_probability = 0.5;
  Range blur_sigma{0.1, 2.0};  // pixels
  double flip_probability = 0.5;
  double solarize_probability = 0;
  int solarize_threshold = 128;  // values from here on are turned into their negative, 0 to 256
};

/// Of a pair of views: its own options are those of the first (the query's), and of the second (the key's)
/// unless that has others.
struct AugmentOptions : ViewOptions {
  std::int64_t image_size = 224;  // side of a view in pixels
  std::optional<ViewOptions> key;

  const ViewOptions& of_view(std::size_t view) const { return view == 1 && key ? *key : *this; }
};

/// Throws Error, naming the option, for one out of its range.
void check_options(const AugmentOptions& options);

enum class JitterKind : std::uint8_t { brightness, contrast, saturation, hue };

struct Jitter {
  JitterKind kind = JitterKind::brightness;
  double factor = 1;
};

/// What is drawn for one view of one picture.
struct ViewParams {
  CropBox crop;
  std::optional<std::array<Jitter, 4>> jitter;  // in the order of application
  bool grayscale = false;
  std::optional<double> blur_sigma;
  bool flip = false;
  std::optional<int> solarize_threshold;
};

/// torchvision's RandomResizedCrop: ten tries with an area uniform in crop_scale and a ratio log-uniform in
/// crop_ratio, then the largest centred crop whose ratio is allowed. That one at once where crop_scale is 1
/// to 1: a try would fit by the luck of rounding only.
CropBox draw_crop(std::int64_t width, std::int64_t height, const ViewOptions& options,
                  tensor::RandomStream& random);
ViewParams draw_view(std::int64_t width, std::int64_t height, const ViewOptions& options,
                     tensor::RandomStream& random);

/// Which pair of views: all that its random numbers depend on.
struct PairKey {
  std::uint64_t seed = 0;
  std::int64_t epoch = 0;   // from 0
  std::int64_t sample = 0;  // place of the picture in its set, from 0
};
/// Both views of a picture, each from a stream of its own: what a training run sees.
std::array<ViewParams, 2> draw_pair(std::int64_t width, std::int64_t height, const AugmentOptions& options,
                                    const PairKey& pair);

void apply_jitter(Image& image, const Jitter& jitter);
/// Jitter, grayscale, blur, solarize, flip, in place: what becomes of a crop.
void change_view(Image& view, const ViewParams& params);
/// Crop and resize to image_size², then change_view(): an 8-bit view.
Image apply_view(const Image& image, const ViewParams& params, std::int64_t image_size);

/// (value / 255 - mean) / std with ImageNet's mean and deviation, to [H,W,3] floats at `out`.
void normalise_view(const Image& view, float* out);

}  // namespace dcl::data
