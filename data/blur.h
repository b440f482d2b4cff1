// Gaussian blur as Pillow does it.
#pragma once

#include <cstdint>

#include "data/image.h"
#include "tensor/host_device.h"

namespace dcl::data {

/// The boxes' sums are of 16 bits: wider ones than this asks for are of no use on a view.
inline constexpr double kMostSigma = 60;

/// One pass: out = weight · (2·radius + 1 pixels around) + edge · (the two beyond them), in 24-bit fixed
/// point.
struct BlurBox {
  std::int32_t radius = 0;
  std::uint32_t weight = 1U << 24;
  std::uint32_t edge = 0;

  DCL_HOST_DEVICE bool changes_nothing() const { return weight == 1U << 24; }
  bool operator==(const BlurBox&) const = default;
};

/// The box whose three passes blur by sigma; throws Error where it is not from 0 to kMostSigma.
BlurBox blur_box(double sigma);

/// Three passes of an extended box filter along each axis, with a fractional radius that gives them the
/// variance sigma²; edges are replicated; every pass rounds to 8 bits. Gwosdek, Grewenig, Bruhn, Weickert:
/// "Theoretical Foundations of Gaussian Convolution by Extended Box Filtering", SSVM 2011. sigma is in
/// pixels; throws as blur_box().
void gaussian_blur(Image& image, double sigma);

}  // namespace dcl::data
