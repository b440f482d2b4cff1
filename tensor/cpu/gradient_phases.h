// The input gradient of a convolution as convolutions of dy: one for each position modulo the stride.
#pragma once

#include <algorithm>
#include <vector>

#include "tensor/cpu/im2col.h"
#include "tensor/cpu/window_product.h"

namespace dcl::tensor::cpu {

/// Positions h = stride·i + phase of dx in one direction: taps r for which h + padding − r·dilation is a
/// multiple of the stride read dy at i + shift. Sorted by shift, so that touching pixels of dy are read in
/// one run.
struct PhaseTaps {
  std::vector<std::int64_t> taps;
  std::vector<std::int64_t> shifts;

  PhaseTaps(std::int64_t phase, std::int64_t kernel, const Conv2dParams& p) {
    for (std::int64_t r = kernel - 1; r >= 0; --r) {
      const std::int64_t offset = phase + p.padding - r * p.dilation;
      if (offset % p.stride != 0) continue;
      taps.push_back(r);
      shifts.push_back(offset / p.stride);
    }
  }
};

/// One phase, of one group.
struct GradientPhase {
  Conv2dSizes sizes;
  std::int64_t phase_h, phase_w;
  std::vector<std::int64_t> shifts_h, shifts_w;
  std::vector<std::int64_t> taps;  // r·kernel_w + s of each pair of shifts

  GradientPhase(const Conv2dSizes& z, std::int64_t h, std::int64_t w) : sizes(z), phase_h(h), phase_w(w) {
    PhaseTaps rows(h, z.kernel_h, z.params);
    PhaseTaps columns(w, z.kernel_w, z.params);
    for (const std::int64_t r : rows.taps)
      for (const std::int64_t s : columns.taps) taps.push_back(r * z.kernel_w + s);
    shifts_h = std::move(rows.shifts);
    shifts_w = std::move(columns.shifts);
  }

  /// What it reads; dy and dx begin at the group's first channel.
  template <class T>
  Windows<T> windows(const T* dy) const {
    const std::int64_t stride = sizes.params.stride;
    return {.x = dy,
            .in_h = sizes.out_h,
            .in_w = sizes.out_w,
            .channels = sizes.group_out(),
            .pixel_stride = sizes.out_channels,
            .out_h = (sizes.in_h - phase_h + stride - 1) / stride,
            .out_w = (sizes.in_w - phase_w + stride - 1) / stride,
            .step = 1,
            .taps_h = shifts_h,
            .taps_w = shifts_w};
  }
  /// Where it goes; with `add` it is added to what is there.
  template <class T>
  RowGrid<T> grid(T* dx, bool add) const {
    const std::int64_t stride = sizes.params.stride;
    return {.y = dx + (phase_h * sizes.in_w + phase_w) * sizes.in_channels,
            .image_stride = sizes.in_h * sizes.in_w * sizes.in_channels,
            .row_stride = stride * sizes.in_w * sizes.in_channels,
            .pixel_stride = stride * sizes.in_channels,
            .stream = pays_to_stream(sizes.batch * sizes.in_h * sizes.in_w * sizes.in_channels *
                                     static_cast<std::int64_t>(sizeof(T))),
            .add = add};
  }
};

inline std::vector<GradientPhase> gradient_phases(const Conv2dSizes& z) {
  std::vector<GradientPhase> all;
  for (std::int64_t h = 0; h < std::min(z.params.stride, z.in_h); ++h)
    for (std::int64_t w = 0; w < std::min(z.params.stride, z.in_w); ++w) all.emplace_back(z, h, w);
  return all;
}

}  // namespace dcl::tensor::cpu
