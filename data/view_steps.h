// What becomes of a crop: ViewParams without the crop, in the numbers that pixels are computed with. The CPU
// makes them beside the crop, and a GPU reads them (data/finish_views.h).
#pragma once

#include <cstdint>

#include "data/augment.h"
#include "data/blur.h"

namespace dcl::data {

struct ColorStep {
  JitterKind kind = JitterKind::brightness;
  std::uint8_t turn = 0;  // of hue: of 256 that are a circle
  float factor = 1;       // of the others
};

struct ViewSteps {
  ColorStep jitter[4];  // in the order of application
  std::int32_t jitters = 0;
  BlurBox blur;
  std::int32_t solarize_threshold = 256;  // which no value reaches
  bool grayscale = false;
  bool flip = false;
};

/// Throws for a blur that gaussian_blur would refuse.
ViewSteps view_steps(const ViewParams& params);

}  // namespace dcl::data
