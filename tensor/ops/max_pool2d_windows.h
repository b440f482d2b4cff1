// Which pixels a window of max_pool2d covers, and which windows a pixel is in.
#pragma once

#include <algorithm>

#include "tensor/host_device.h"
#include "tensor/ops/max_pool2d.h"

namespace dcl::tensor {

struct MaxPool2dSizes {
  std::int64_t batch;
  std::int64_t in_h;
  std::int64_t in_w;
  std::int64_t channels;
  std::int64_t out_h;
  std::int64_t out_w;
  std::int64_t kernel;
  std::int64_t stride;
  std::int64_t padding;

  Shape out() const { return {batch, out_h, out_w, channels}; }
};

/// Throws where `params` or x's shape are not what max_pool2d takes.
MaxPool2dSizes max_pool2d_sizes(const Shape& x_shape, const MaxPool2dParams& params);

/// Taps [begin, end) of a window that starts at `start` (it may be negative) and lie inside [0, size).
struct MaxPool2dTaps {
  std::int64_t begin;
  std::int64_t end;
  DCL_HOST_DEVICE MaxPool2dTaps(std::int64_t start, std::int64_t kernel, std::int64_t size)
      : begin(std::max<std::int64_t>(-start, 0)), end(std::min(kernel, size - start)) {}
};

/// Windows [begin, end) that contain position i.
struct MaxPool2dWindows {
  std::int64_t begin;
  std::int64_t end;
  DCL_HOST_DEVICE MaxPool2dWindows(std::int64_t i, const MaxPool2dSizes& s, std::int64_t windows)
      : begin(std::max<std::int64_t>(i + s.padding - s.kernel + s.stride, 0) / s.stride),
        end(std::min((i + s.padding) / s.stride + 1, windows)) {}
};

}  // namespace dcl::tensor
