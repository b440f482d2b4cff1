// What the CPU's and the GPU's adaptive_avg_pool2d share.
#pragma once

#include <cstdint>

#include "tensor/host_device.h"
#include "tensor/shape.h"

namespace dcl::tensor {

/// Bin i of `bins` over [0, size): [begin, end), never empty. The bins that cover position i are
/// PoolingBin(i, size, bins).
struct PoolingBin {
  std::int64_t begin;
  std::int64_t end;

  DCL_HOST_DEVICE PoolingBin(std::int64_t i, std::int64_t bins, std::int64_t size)
      : begin(i * size / bins), end(((i + 1) * size + bins - 1) / bins) {}
  DCL_HOST_DEVICE std::int64_t length() const { return end - begin; }
};

struct AdaptivePooling {
  std::int64_t batch;
  std::int64_t in_h;
  std::int64_t in_w;
  std::int64_t channels;
  std::int64_t out_h;
  std::int64_t out_w;

  AdaptivePooling(const Shape& x, std::int64_t rows, std::int64_t columns) : out_h(rows), out_w(columns) {
    check(x.dim() == 4, "adaptive_avg_pool2d: x is {}, expected [N,H,W,C]", x.str());
    batch = x[0];
    in_h = x[1];
    in_w = x[2];
    channels = x[3];
    check(in_h >= 1 && in_w >= 1, "adaptive_avg_pool2d: x {} has empty pictures", x.str());
    check(out_h >= 1 && out_w >= 1, "adaptive_avg_pool2d: the output is {} x {}, expected at least 1 x 1",
          out_h, out_w);
  }
  Shape out() const { return {batch, out_h, out_w, channels}; }
};

}  // namespace dcl::tensor
