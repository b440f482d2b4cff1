// How the kernels of batch_norm_act share the work: which numbers are whose, and how sums over rows come
// together.
#pragma once

#include <cmath>
#include <type_traits>
#include <utility>

#include "tensor/cuda/kernel.h"
#include "tensor/tensor.h"

namespace dcl::tensor::cuda::batch_norm {

inline constexpr int kThreads = 256;
inline constexpr int kRows = 4;                   // that a thread has in flight, of each tensor
inline constexpr std::int64_t kBlocks = 6 * 132;  // of a sweep: two or three times what runs at once
inline constexpr int kFinishChannels = 4;         // 32 bytes of double
inline constexpr int kFinishThreads = 256;

// The rows of x as chunks (`groups`) of parts, the channels as lanes of a few each; a block has the rows of a
// part and the channels of `lanes` lanes. The cuts depend on the sizes only, and so do the bits.
struct Tiles {
  std::int64_t groups;
  std::int64_t group_rows;
  std::int64_t channels;
  std::int64_t per_group;       // parts of a chunk
  std::int64_t channel_blocks;  // blocks beside each other
  int lanes;                    // a power of two; kThreads / lanes rows are read at once

  // `width`: channels of a lane, a divisor of theirs.
  Tiles(const Tensor& x, std::int64_t group_count, int width) : groups(group_count), channels(x.size(-1)) {
    group_rows = x.numel() / channels / groups;
    const std::int64_t packs = channels / width;
    for (lanes = 1; lanes < packs && lanes < kWarpSize;) lanes *= 2;
    channel_blocks = (packs + lanes - 1) / lanes;
    const std::int64_t rows = kThreads / lanes * kRows;
    per_group =
        std::clamp<std::int64_t>(kBlocks / (groups * channel_blocks), 1, (group_rows + rows - 1) / rows);
  }

  std::int64_t parts() const { return groups * per_group; }
  Launch launch() const {
    return {.grid = dim3(static_cast<unsigned>(parts() * channel_blocks)), .block = dim3(kThreads)};
  }
  Launch finish() const {
    return {.grid = dim3(static_cast<unsigned>((channels + kFinishChannels - 1) / kFinishChannels)),
            .block = dim3(kFinishThreads)};
  }
};

// What of a block's tile is this thread's: channels [channel, channel + width) of rows begin, begin + step, …
struct Place {
  std::int64_t part;
  std::int64_t group;
  std::int64_t channel;
  std::int64_t begin;
  std::int64_t end;
  int step;

  __device__ Place(const Tiles& tiles, std::int64_t block, int width)
      : part(block / tiles.channel_blocks), group(part / tiles.per_group), step(kThreads / tiles.lanes) {
    const int thread = static_cast<int>(threadIdx.x);
    channel = (block % tiles.channel_blocks * tiles.lanes + thread % tiles.lanes) * width;
    const std::int64_t in_group = part % tiles.per_group;
    const std::int64_t first = group * tiles.group_rows;
    begin = first + in_group * tiles.group_rows / tiles.per_group + thread / tiles.lanes;
    end = first + (in_group + 1) * tiles.group_rows / tiles.per_group;
    if (channel >= tiles.channels) end = begin;
  }

  // body<n>(r) for rows r, r + step, … of n, from the first to the last.
  template <int n = kRows, class F>
  __device__ void for_rows(F body) const {
    std::int64_t r = begin;
    for (; r + (n - 1) * step < end; r += n * step) body.template operator()<n>(r);
    for (; r < end; r += step) body.template operator()<1>(r);
  }
  // From the last to the first.
  template <int n = kRows, class F>
  __device__ void for_rows_backwards(F body) const {
    if (begin >= end) return;
    std::int64_t r = begin + (end - 1 - begin) / step * step;
    for (; r - (n - 1) * step >= begin; r -= n * step) body.template operator()<n>(r - (n - 1) * step);
    for (; r >= begin; r -= step) body.template operator()<1>(r);
  }
};

// f(0), f(1), … f(n − 1), with what is indexed by them in registers: of long bodies the compiler makes a
// loop.
template <int n, class F>
__device__ void unrolled(F f) {
  [&]<int... k>(std::integer_sequence<int, k...>) { (f(k), ...); }(std::make_integer_sequence<int, n>{});
}

// A few rows' numbers of a thread's channels.
template <class X, int width, int rows>
struct Numbers {
  Pack<X, width> row[rows];

  __device__ Numbers(const X* from, std::int64_t row_step) {
    for (int k = 0; k < rows; ++k) row[k] = load_pack<width>(from + k * row_step);
  }
  __device__ Compute<X> operator()(int k, int v) const { return widened(row[k].values[v]); }
};

// Rounded to X, on the device in one instruction.
template <class X>
__device__ X narrowed(Compute<X> value) {
#ifndef DCL_CUDA_EMULATED
  if constexpr (std::is_same_v<X, bfloat16>) {
    X rounded;
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(rounded.bits) : "f"(value));
    return rounded;
  }
#endif
  return static_cast<X>(value);
}

// [2,C] for the block's part: what its threads have summed of their channels, in the order of the rows.
template <int width>
__device__ void store_sums(const Tiles& tiles, const Place& place, const double (&first)[width],
                           const double (&second)[width], double* sums) {
  __shared__ double box[2 * width * kThreads];  // [2·width, rows at once, lanes]
  for (int v = 0; v < width; ++v) {
    box[v * kThreads + threadIdx.x] = first[v];
    box[(width + v) * kThreads + threadIdx.x] = second[v];
  }
  __syncthreads();
  for (int i = static_cast<int>(threadIdx.x); i < 2 * width * tiles.lanes; i += kThreads) {
    const int lane = i % tiles.lanes;
    const int v = i / tiles.lanes;
    const std::int64_t first_channel = blockIdx.x % tiles.channel_blocks * tiles.lanes * width;
    const std::int64_t channel = first_channel + lane * width + v % width;
    if (channel >= tiles.channels) continue;
    double sum = 0;
    for (int at = lane; at < kThreads; at += tiles.lanes) sum += box[v * kThreads + at];
    sums[(2 * place.part + v / width) * tiles.channels + channel] = sum;
  }
}

// For each chunk and each channel of the block, in one thread: then(group, channel, first, second), the sums
// over the chunk's parts.
template <class F>
__device__ void sum_parts(const Tiles& tiles, const double* sums, F then) {
  __shared__ double box[2][kFinishThreads];
  constexpr int kAtOnce = kFinishThreads / kFinishChannels;
  const int thread = static_cast<int>(threadIdx.x);
  const int row = thread / kFinishChannels;
  const std::int64_t channel = std::int64_t{blockIdx.x} * kFinishChannels + thread % kFinishChannels;
  for (std::int64_t group = 0; group < tiles.groups; ++group) {
    double first = 0;
    double second = 0;
    for (std::int64_t part = row; part < tiles.per_group && channel < tiles.channels; part += kAtOnce) {
      const double* sum = sums + 2 * (group * tiles.per_group + part) * tiles.channels + channel;
      first += sum[0];
      second += sum[tiles.channels];
    }
    box[0][thread] = first;
    box[1][thread] = second;
    for (int half = kFinishThreads / 2; half >= kFinishChannels; half /= 2) {
      __syncthreads();
      if (thread >= half) continue;
      box[0][thread] += box[0][thread + half];
      box[1][thread] += box[1][thread + half];
    }
    if (row == 0 && channel < tiles.channels) then(group, channel, box[0][thread], box[1][thread]);
    __syncthreads();
  }
}

template <class T>
struct Affine {
  const T* mean;    // [G,C]
  const T* invstd;  // [G,C]
  const T* weight;  // [C]
  const T* bias;    // [C]
};

// u = (x − mean)·scale + bias for a thread's channels, scale = weight·invstd. Forward, forward once more and
// the backward's mask have to come to the same bits of u, hence fma by name.
template <int width, class T>
struct Normalise {
  T mean[width];
  T scale[width];
  T bias[width];

  __device__ Normalise(const Tiles& tiles, const Place& place, const Affine<T>& affine) {
    for (int v = 0; v < width; ++v) {
      const std::int64_t c = (place.channel < tiles.channels ? place.channel : 0) + v;
      mean[v] = affine.mean[place.group * tiles.channels + c];
      scale[v] = affine.weight[c] * affine.invstd[place.group * tiles.channels + c];
      bias[v] = affine.bias[c];
    }
  }
  __device__ T centred(T x, int v) const { return x - mean[v]; }
  __device__ T u(T centred, int v) const { return std::fma(centred, scale[v], bias[v]); }
};

}  // namespace dcl::tensor::cuda::batch_norm
