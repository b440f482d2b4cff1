// Kernels that write pictures [N,H,W,C]: each block has a row of one, or a part of it, and each thread packs
// of channels of its pixels. Divisions are of 32 bits, once a pack.
#pragma once

#include <limits>

#include "tensor/cuda/pack_width.h"
#include "tensor/shape.h"

namespace dcl::tensor::cuda {

/// Of the pictures that a kernel writes.
struct PictureSizes {
  std::int64_t batch;
  std::int64_t height;
  int width;
  int channels;
};

inline PictureSizes picture_sizes(const char* op, const Shape& shape) {
  check(shape[2] * shape[3] <= std::numeric_limits<int>::max() / 2, "{}: pictures of {} have too long rows",
        op, shape.str());
  return {shape[0], shape[1], static_cast<int>(shape[2]), static_cast<int>(shape[3])};
}

/// Calls body(n, h, w, c) for every pack of `Width` channels that is this thread's, c the first of them.
template <int Width, class F>
__device__ void for_each_pack(const PictureSizes& s, F body) {
  const std::int64_t n = blockIdx.x / s.height;
  const std::int64_t h = blockIdx.x % s.height;
  const int packs = s.channels / Width;
  for (int i = static_cast<int>(blockIdx.y * blockDim.x + threadIdx.x); i < s.width * packs;
       i += static_cast<int>(gridDim.y * blockDim.x))
    body(n, h, i / packs, i % packs * Width);
}

/// The launch of such a kernel.
template <int Width>
Launch launch_by_rows(const PictureSizes& s) {
  constexpr int kThreads = 128;
  return {.grid = dim3(static_cast<unsigned>(s.batch * s.height),
                       blocks_for(s.width * (s.channels / Width), kThreads).x),
          .block = dim3(kThreads)};
}

}  // namespace dcl::tensor::cuda
