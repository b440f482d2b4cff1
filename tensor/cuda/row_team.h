// Kernels along the rows of a matrix [rows, columns]: a warp works on a short row, a block on a long one.
#pragma once

#include <initializer_list>
#include <limits>

#include "tensor/cuda/pack_width.h"
#include "tensor/tensor.h"

namespace dcl::tensor::cuda {

/// `Threads` threads that work on a row together, and read `Width` of its numbers at a time.
template <int Threads, int Width_ = 1>
struct RowTeam {
  static constexpr int kWidth = Width_;
  static constexpr int kBlock = Threads == kWarpSize ? 4 * kWarpSize : Threads;
  static constexpr int kRows = kBlock / Threads;  // of a block at a time
  static_assert(Threads % kWarpSize == 0);

  static Launch shape(std::int64_t rows) {
    return {.grid = blocks_for(rows, kRows), .block = dim3(static_cast<unsigned>(kBlock))};
  }

  /// Calls body(row) for each row that is this team's. All its threads call the reductions below.
  template <class F>
  static __device__ void for_each_row(std::int64_t rows, F body) {
    const std::int64_t step = std::int64_t{gridDim.x} * kRows;
    for (std::int64_t row = std::int64_t{blockIdx.x} * kRows + threadIdx.x / Threads; row < rows; row += step)
      body(row);
  }

  /// Calls body(c) for the first columns of the packs that are this thread's, in their order.
  template <class F>
  static __device__ void for_each_pack(std::int64_t columns, F body) {
    for (std::int64_t c = threadIdx.x % Threads * kWidth; c < columns; c += Threads * kWidth) body(c);
  }

  static __device__ bool is_first() { return threadIdx.x % Threads == 0; }

  template <class T>
  static __device__ T sum(T value) {
    return reduce(value, [](T a, T b) { return a + b; });
  }
  /// NaN where there is one.
  template <class T>
  static __device__ T max(T value) {
    return reduce(value, [](T a, T b) { return b > a || b != b ? b : a; });
  }
  /// Of values without NaN.
  template <class T>
  static __device__ T min(T value) {
    return reduce(value, [](T a, T b) { return b < a ? b : a; });
  }

 private:
  // The same bits in every thread, since combine(a, b) has those of combine(b, a).
  template <class T, class F>
  static __device__ T reduce(T value, F combine) {
    for (int lane = kWarpSize / 2; lane > 0; lane /= 2)
      value = combine(value, __shfl_xor_sync(kAllLanes, value, lane));
    if constexpr (Threads > kWarpSize) {
      __shared__ T parts[Threads / kWarpSize];
      if (threadIdx.x % kWarpSize == 0) parts[threadIdx.x / kWarpSize] = value;
      __syncthreads();
      value = parts[0];
      for (int warp = 1; warp < Threads / kWarpSize; ++warp) value = combine(value, parts[warp]);
      __syncthreads();  // before the next call writes `parts`
    }
    return value;
  }
};

/// Calls f.template operator()<Team>() with the team for rows of so many numbers of type T, at the addresses
/// `read`.
template <class T, class F>
void with_row_team(std::int64_t columns, std::initializer_list<const void*> read, F f) {
  constexpr std::int64_t kLongRow = 1024;
  with_pack_width<T>(columns, read, [&]<int Width>() {
    if (columns > kLongRow)
      f.template operator()<RowTeam<256, Width>>();
    else
      f.template operator()<RowTeam<kWarpSize, Width>>();
  });
}

/// Rows of the last dimension; 0 where they are empty.
inline std::int64_t rows_of(const Tensor& x) { return x.numel() == 0 ? 0 : x.numel() / x.size(-1); }

}  // namespace dcl::tensor::cuda
