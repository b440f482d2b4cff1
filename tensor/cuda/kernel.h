// What a file of kernels is written with. Under nvcc this is CUDA; with DCL_CUDA_EMULATED the same file is
// plain C++ that runs on the host (tensor/cuda/emulated), so that errors of indices and of barriers are found
// without a GPU. Then the tensors of the "device" are those of the CPU.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "tensor/dtype.h"
#include "tensor/host_device.h"

#ifdef DCL_CUDA_EMULATED
#include "tensor/cuda/emulated/device.h"
#else
#include "tensor/cuda/context.h"
#endif

namespace dcl::tensor::cuda {

inline constexpr int kWarpSize = 32;
inline constexpr unsigned kAllLanes = 0xFFFFFFFFU;

/// The shape of a launch. Shared bytes are the dynamic ones: what dynamic_shared() points to.
struct Launch {
  dim3 grid = dim3(1);
  dim3 block = dim3(1);
  std::size_t shared_bytes = 0;
};

#ifdef DCL_CUDA_EMULATED

/// Calls `kernel(args…)` for every thread of every block. A grid of no blocks launches nothing.
template <class... Params, class... Args>
void launch(const char* op, void (*kernel)(Params...), const Launch& shape, Args... args) {
  emulated::run(op, shape.grid, shape.block, shape.shared_bytes,
                [kernel, args...] { kernel(static_cast<Params>(args)...); });
}

/// The dynamic shared memory of the block, aligned to 16 bytes.
template <class T>
T* dynamic_shared() {
  return static_cast<T*>(emulated::dynamic_shared_memory());
}

/// Blocks of a one-dimensional grid at most: few here, so that every loop over the grid takes several turns.
inline constexpr std::int64_t kMostBlocks = 3;

#else

template <class... Params, class... Args>
void launch(const char* op, void (*kernel)(Params...), const Launch& shape, Args... args) {
  if (shape.grid.x == 0 || shape.grid.y == 0 || shape.grid.z == 0) return;
  constexpr std::size_t kWithoutAsking = 48 << 10;
  if (shape.shared_bytes > kWithoutAsking)
    DCL_CUDA(op, cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                      static_cast<int>(shape.shared_bytes)));
  kernel<<<shape.grid, shape.block, shape.shared_bytes, current_stream()>>>(static_cast<Params>(args)...);
  DCL_CUDA(op, cudaGetLastError());
}

template <class T>
__device__ T* dynamic_shared() {
  extern __shared__ uint4 dcl_dynamic_shared[];  // for its alignment
  return reinterpret_cast<T*>(dcl_dynamic_shared);
}

inline constexpr std::int64_t kMostBlocks = 132 * 16;  // an H200 has 132 multiprocessors

#endif

/// Blocks for `n` items at `per_block` a block, for kernels that go on by grid_stride().
inline dim3 blocks_for(std::int64_t n, std::int64_t per_block) {
  return dim3(static_cast<unsigned>(std::min((n + per_block - 1) / per_block, kMostBlocks)));
}

/// The items of [0, n) that are this thread's: `for (const std::int64_t i : grid_stride(n))`.
class grid_stride {
 public:
  __device__ explicit grid_stride(std::int64_t n) : n_(n) {}

  struct Iterator {
    std::int64_t i, step, n;
    __device__ std::int64_t operator*() const { return i; }
    __device__ Iterator& operator++() {
      i += step;
      return *this;
    }
    __device__ bool operator!=(const Iterator& /*end*/) const { return i < n; }
  };
  __device__ Iterator begin() const {
    return {std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x, std::int64_t{gridDim.x} * blockDim.x, n_};
  }
  __device__ Iterator end() const { return {n_, 0, n_}; }

 private:
  std::int64_t n_;
};

/// Consecutive numbers that are read and written together; the address has to be a multiple of their size.
template <class T, int N>
struct alignas(sizeof(T) * N) Pack {
  T values[N];
};
template <int N, class T>
__device__ Pack<T, N> load_pack(const T* from) {
  return *reinterpret_cast<const Pack<T, N>*>(from);
}
template <class T, int N>
__device__ void store_pack(T* to, const Pack<T, N>& pack) {
  *reinterpret_cast<Pack<T, N>*>(to) = pack;
}

/// The position of the lowest bit of `votes`, which are not 0.
inline __device__ int lowest_lane(unsigned votes) {
#ifdef DCL_CUDA_EMULATED
  return __builtin_ctz(votes);
#else
  return __ffs(static_cast<int>(votes)) - 1;
#endif
}

/// The sum of a warp's values, the same bits in every lane. All 32 lanes call it.
template <class T>
__device__ T warp_sum(T value) {
  for (int lane = kWarpSize / 2; lane > 0; lane /= 2) value += __shfl_xor_sync(kAllLanes, value, lane);
  return value;
}

/// The largest of a warp's values; NaN where there is one.
template <class T>
__device__ T warp_max(T value) {
  for (int lane = kWarpSize / 2; lane > 0; lane /= 2) {
    const T other = __shfl_xor_sync(kAllLanes, value, lane);
    value = other > value || other != other ? other : value;
  }
  return value;
}

/// The sum over a one-dimensional block of `Threads` threads, the same bits in every thread. All call it.
template <int Threads, class T>
__device__ T block_sum(T value) {
  static_assert(Threads % kWarpSize == 0 && Threads <= kWarpSize * kWarpSize);
  __shared__ T parts[Threads / kWarpSize];
  value = warp_sum(value);
  if (threadIdx.x % kWarpSize == 0) parts[threadIdx.x / kWarpSize] = value;
  __syncthreads();
  T sum = parts[0];
  for (int warp = 1; warp < Threads / kWarpSize; ++warp) sum += parts[warp];
  __syncthreads();  // before the next call writes `parts`
  return sum;
}

}  // namespace dcl::tensor::cuda
