// What the CPU's and the GPU's upsample_bilinear2d share.
#pragma once

#include <algorithm>
#include <cstdint>

#include "tensor/host_device.h"
#include "tensor/ops/upsample_bilinear2d.h"

namespace dcl::tensor {

/// Where an output row (or column) comes from: (1 − lambda) · x[i0] + lambda · x[i1].
struct UpsampleTap {
  std::int64_t i0;
  std::int64_t i1;
  double lambda;
};

/// One axis of a picture, from `in` to `out` pixels.
struct UpsampleAxis {
  std::int64_t in;
  std::int64_t out;
  bool align_corners;
  double scale;  // of positions

  UpsampleAxis(std::int64_t in_, std::int64_t out_, bool align)
      : in(in_),
        out(out_),
        align_corners(align),
        scale(!align     ? static_cast<double>(in) / static_cast<double>(out)
              : out_ > 1 ? static_cast<double>(in - 1) / static_cast<double>(out - 1)
                         : 0.0) {}

  DCL_HOST_DEVICE UpsampleTap tap(std::int64_t i) const {
    const double position = align_corners ? scale * static_cast<double>(i)
                                          : std::max(0.0, scale * (static_cast<double>(i) + 0.5) - 0.5);
    const std::int64_t i0 = std::min(static_cast<std::int64_t>(position), in - 1);
    return {i0, std::min(i0 + 1, in - 1), position - static_cast<double>(i0)};
  }
};

inline void check_upsample_sizes(const Shape& x, const UpsampleParams& params) {
  check(x.dim() == 4, "upsample_bilinear2d: x is {}, expected 4 dimensions", x.str());
  check(params.out_h >= 1 && params.out_w >= 1,
        "upsample_bilinear2d: the output size is {}x{}, expected at least 1x1", params.out_h, params.out_w);
  check(x[1] >= 1 && x[2] >= 1, "upsample_bilinear2d: x {} has no pixels", x.str());
}

inline Shape upsampled_shape(const Shape& x, const UpsampleParams& params) {
  return {x[0], params.out_h, params.out_w, x[3]};
}

}  // namespace dcl::tensor
