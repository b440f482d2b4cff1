// CUDA's language for kernels on the host, for tests: the threads of a block are fibers that give way to each
// other at barriers and shuffles, the blocks of a grid run one after another. A barrier that cannot be
// reached by all it waits for throws, naming the op; kernels themselves do not throw.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>

// The words of the language itself.
// NOLINTBEGIN(bugprone-reserved-identifier, cppcoreguidelines-macro-usage)
#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __shared__ static  // blocks run one after another
#define __constant__ static const
// NOLINTEND(bugprone-reserved-identifier, cppcoreguidelines-macro-usage)

namespace dcl::tensor::cuda {

struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}  // NOLINT
};

// Of the fiber that runs.
inline thread_local dim3 threadIdx{0, 0, 0};
inline thread_local dim3 blockIdx{0, 0, 0};
inline thread_local dim3 blockDim;
inline thread_local dim3 gridDim;

namespace emulated {

/// Runs `thread` for every thread of the grid (at once, or when a graph is replayed). Dynamic shared memory
/// is full of 0xFF when a block begins.
void run(const char* op, dim3 grid, dim3 block, std::size_t shared_bytes,
         const std::function<void()>& thread);
void* dynamic_shared_memory();

/// Waits for all threads of the block that have not ended.
void block_barrier();
/// Waits for the lanes of `mask` of the thread's warp.
void warp_barrier(unsigned mask);
/// From then on this lane shows the others of its warp `value`.
void show(std::uint64_t value);
/// What `lane` of this thread's warp shows.
std::uint64_t shown_by(unsigned lane);
/// The lane of the thread in its warp.
unsigned lane();

template <class T>
T exchange(unsigned mask, T value, unsigned from) {
  static_assert(sizeof(T) <= sizeof(std::uint64_t));
  std::uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof(T));
  show(bits);
  warp_barrier(mask);
  bits = shown_by(from);
  warp_barrier(mask);  // before anybody shows the next one
  std::memcpy(&value, &bits, sizeof(T));
  return value;
}

}  // namespace emulated

// NOLINTBEGIN(bugprone-reserved-identifier, readability-identifier-naming)
inline void __syncthreads() { emulated::block_barrier(); }
inline void __syncwarp(unsigned mask = 0xFFFFFFFFU) { emulated::warp_barrier(mask); }
inline void __threadfence() {}

template <class T>
T __shfl_sync(unsigned mask, T value, int from, int width = 32) {
  const auto size = static_cast<unsigned>(width);
  const unsigned first = emulated::lane() / size * size;
  return emulated::exchange(mask, value, first + static_cast<unsigned>(from) % size);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int lanes, int width = 32) {
  const auto size = static_cast<unsigned>(width);
  const unsigned lane = emulated::lane();
  const unsigned from = lane ^ static_cast<unsigned>(lanes);
  return emulated::exchange(mask, value, from < lane / size * size + size ? from : lane);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned lanes, int width = 32) {
  const auto size = static_cast<unsigned>(width);
  const unsigned lane = emulated::lane();
  return emulated::exchange(mask, value, lane % size + lanes < size ? lane + lanes : lane);
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned lanes, int width = 32) {
  const unsigned lane = emulated::lane();
  return emulated::exchange(mask, value, lane % static_cast<unsigned>(width) >= lanes ? lane - lanes : lane);
}
inline unsigned __ballot_sync(unsigned mask, bool predicate) {
  emulated::show(predicate ? 1 : 0);
  emulated::warp_barrier(mask);
  unsigned votes = 0;
  for (unsigned lane = 0; lane < 32; ++lane)
    if ((mask >> lane & 1U) != 0 && emulated::shown_by(lane) != 0) votes |= 1U << lane;
  emulated::warp_barrier(mask);
  return votes;
}
inline bool __any_sync(unsigned mask, bool predicate) { return __ballot_sync(mask, predicate) != 0; }
inline bool __all_sync(unsigned mask, bool predicate) { return __ballot_sync(mask, !predicate) == 0; }

template <class T>
T __ldg(const T* from) {
  return *from;
}
inline float rsqrtf(float x) { return 1 / std::sqrt(x); }
inline double rsqrt(double x) { return 1 / std::sqrt(x); }
// NOLINTEND(bugprone-reserved-identifier, readability-identifier-naming)

template <class T>
T atomicAdd(T* to, T value) {
  const T before = *to;
  *to += value;
  return before;
}
template <class T>
T atomicMax(T* to, T value) {
  const T before = *to;
  if (value > before) *to = value;
  return before;
}
template <class T>
T atomicCAS(T* to, T expected, T value) {
  const T before = *to;
  if (before == expected) *to = value;
  return before;
}

}  // namespace dcl::tensor::cuda
