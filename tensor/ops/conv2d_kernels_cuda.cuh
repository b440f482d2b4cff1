// The kernels of conv2d beside cuDNN: windows as rows of a matrix and back, channels that are filled up,
// bias.
#pragma once

#include "tensor/cuda/kernel.h"
#include "tensor/ops/conv2d.h"

namespace dcl::tensor::cuda {

constexpr int kConv2dThreads = 256;
constexpr int kChannelUnit = 8;  // bfloat16 numbers of 16 bytes

// columns[(n·Ho + p)·Wo + q, (r·kW + s)·I/g + c] = x[n, p·stride + r·dilation − padding, …, group·I/g + c],
// 0 outside the picture; columns [z.batch·Ho·Wo, kH·kW·I/g].
template <class T>
__global__ void im2col(Conv2dSizes z, std::int64_t group, const T* x, T* columns) {
  const std::int64_t channels = z.in_channels / z.params.groups;
  const std::int64_t depth = z.kernel_h * z.kernel_w * channels;
  for (const std::int64_t i : grid_stride(z.batch * z.out_h * z.out_w * depth)) {
    const std::int64_t row = i / depth;
    const std::int64_t column = i % depth;
    const std::int64_t tap = column / channels;
    const std::int64_t h =
        row / z.out_w % z.out_h * z.params.stride + tap / z.kernel_w * z.params.dilation - z.params.padding;
    const std::int64_t w =
        row % z.out_w * z.params.stride + tap % z.kernel_w * z.params.dilation - z.params.padding;
    const bool inside = 0 <= h && h < z.in_h && 0 <= w && w < z.in_w;
    const std::int64_t n = row / (z.out_h * z.out_w);
    columns[i] =
        inside ? x[((n * z.in_h + h) * z.in_w + w) * z.in_channels + group * channels + column % channels]
               : T();
  }
}

// The output position whose tap of offset `tap` reads `at` (both with the padding in), or -1.
inline __device__ std::int64_t position_reading(std::int64_t at, std::int64_t tap, std::int64_t stride,
                                                std::int64_t positions) {
  const std::int64_t distance = at - tap;
  if (distance < 0 || distance % stride != 0 || distance / stride >= positions) return -1;
  return distance / stride;
}

// dx[n,h,w, group·I/g + c] = the sum of dcolumns over the windows that read it, taps in order: each number is
// written by one thread, so that the bits are the same in every run.
template <class T>
__global__ void col2im(Conv2dSizes z, std::int64_t group, const Compute<T>* dcolumns, T* dx) {
  const std::int64_t channels = z.in_channels / z.params.groups;
  const auto [stride, padding, dilation, groups] = z.params;
  for (const std::int64_t i : grid_stride(z.batch * z.in_h * z.in_w * channels)) {
    const std::int64_t c = i % channels;
    const std::int64_t pixel = i / channels;
    const std::int64_t w = pixel % z.in_w + padding;
    const std::int64_t h = pixel / z.in_w % z.in_h + padding;
    const std::int64_t n = pixel / (z.in_w * z.in_h);
    Compute<T> sum = 0;
    for (std::int64_t r = 0; r < z.kernel_h; ++r) {
      const std::int64_t p = position_reading(h, r * dilation, stride, z.out_h);
      if (p < 0) continue;
      for (std::int64_t s = 0; s < z.kernel_w; ++s) {
        const std::int64_t q = position_reading(w, s * dilation, stride, z.out_w);
        if (q < 0) continue;
        const std::int64_t row = (n * z.out_h + p) * z.out_w + q;
        sum += dcolumns[((row * z.kernel_h + r) * z.kernel_w + s) * channels + c];
      }
    }
    dx[pixel * z.in_channels + group * channels + c] = T(sum);
  }
}

// y[row, o] += bias[o], `Width` numbers at a time; Width divides `channels`.
template <int Width, class T>
__global__ void add_bias(std::int64_t packs, std::int64_t channels, const Compute<T>* bias, T* y) {
  for (const std::int64_t i : grid_stride(packs)) {
    const std::int64_t first = i * Width % channels;
    auto pack = load_pack<Width>(y + i * Width);
    for (int j = 0; j < Width; ++j) pack.values[j] = T(widened(pack.values[j]) + bias[first + j]);
    store_pack(y + i * Width, pack);
  }
}

// y[row, :] = x[row, :] and zeros: x [rows, channels], y [rows, padded]; kChannelUnit divides `padded`.
template <class T>
__global__ void pad_channels(std::int64_t rows, std::int64_t channels, std::int64_t padded, const T* x,
                             T* y) {
  const std::int64_t packs = padded / kChannelUnit;
  for (const std::int64_t i : grid_stride(rows * packs)) {
    const std::int64_t row = packs == 1 ? i : i / packs;  // a photograph's channels without a division
    const std::int64_t first = (i - row * packs) * kChannelUnit;
    Pack<T, kChannelUnit> pack;
    for (int j = 0; j < kChannelUnit; ++j)
      pack.values[j] = first + j < channels ? x[row * channels + first + j] : T();
    store_pack(y + i * kChannelUnit, pack);
  }
}

// The other way: y [rows, channels] = the first channels of x [rows, padded].
template <class T>
__global__ void cut_channels(std::int64_t rows, std::int64_t channels, std::int64_t padded, const T* x,
                             T* y) {
  for (const std::int64_t i : grid_stride(rows * channels)) y[i] = x[i / channels * padded + i % channels];
}

}  // namespace dcl::tensor::cuda
