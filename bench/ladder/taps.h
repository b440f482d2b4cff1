// Where the windows of a convolution lie.
#pragma once

#include "tensor/ops/conv2d.h"

namespace dcl::bench {

/// Calls f(tap, offset) for each tap of output pixel `row` = (n·Ho + p)·Wo + q that lies inside the picture:
/// x's channels there begin at `offset`, the weight's at tap·I.
template <class F>
void for_each_tap(const tensor::Conv2dSizes& z, std::int64_t row, F&& f) {
  const std::int64_t n = row / (z.out_h * z.out_w);
  const std::int64_t top = row / z.out_w % z.out_h * z.params.stride - z.params.padding;
  const std::int64_t left = row % z.out_w * z.params.stride - z.params.padding;
  for (std::int64_t r = 0; r < z.kernel_h; ++r)
    for (std::int64_t s = 0; s < z.kernel_w; ++s) {
      const std::int64_t h = top + r * z.params.dilation;
      const std::int64_t w = left + s * z.params.dilation;
      if (h < 0 || h >= z.in_h || w < 0 || w >= z.in_w) continue;
      f(r * z.kernel_w + s, ((n * z.in_h + h) * z.in_w + w) * z.in_channels);
    }
}

}  // namespace dcl::bench
