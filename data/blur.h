// Gaussian blur as Pillow does it.
#pragma once

#include "data/image.h"

namespace dcl::data {

/// The boxes' sums are of 16 bits: wider ones than this asks for are of no use on a view.
inline constexpr double kMostSigma = 60;

/// Three passes of an extended box filter along each axis, with a fractional radius that gives them the
/// variance sigma²; edges are replicated; every pass rounds to 8 bits. Gwosdek, Grewenig, Bruhn, Weickert:
/// "Theoretical Foundations of Gaussian Convolution by Extended Box Filtering", SSVM 2011. sigma is in
/// pixels; throws Error where it is not from 0 to kMostSigma.
void gaussian_blur(Image& image, double sigma);

}  // namespace dcl::data
