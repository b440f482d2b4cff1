// Any type and any number of channels: products of vectors, a tile of 64 queries by 64 keys a block.
#include <limits>

#include "tensor/cuda/kernel.h"
#include "tensor/ops/info_nce_cuda.h"

namespace dcl::tensor::cuda {

namespace {

constexpr int kThreads = 256;
constexpr int kTile = 64;   // queries, keys, and channels of the second product; 16 threads by 16, each 4x4
constexpr int kDepth = 16;  // channels of a step of the first product
constexpr int kPitch = kTile + 4;

template <class T>
struct Problem {
  std::int64_t rows, keys, channels, tiles;
  const T* query;
  const T* queue;
  T factor;  // 1/T
  T* maximum;
  double* sum;
  T* weighted;  // null: not wanted
};

template <class T>
using Square = T[4][4];

// What a thread has of a tile: rows 4·y …, columns 4·x ….
struct Place {
  int x, y;
  __device__ Place() : x(static_cast<int>(threadIdx.x) % 16), y(static_cast<int>(threadIdx.x) / 16) {}
};

// out[i][j] += sum over d of a[d][row i] b[d][column j]
template <class T>
__device__ void multiply(const T* a, const T* b, int depth, Square<T>& out) {
  const Place place;
  for (int d = 0; d < depth; ++d) {
    const Pack<T, 4> left = load_pack<4>(a + d * kPitch + place.y * 4);
    const Pack<T, 4> right = load_pack<4>(b + d * kPitch + place.x * 4);
    for (int i = 0; i < 4; ++i)
      for (int j = 0; j < 4; ++j) out[i][j] += left.values[i] * right.values[j];
  }
}

template <bool Rounded, class T>
__device__ T rounded(T x) {
  if constexpr (Rounded) return static_cast<float>(bfloat16(x));
  return x;
}

// Numbers [first, first+64) × [channel, channel+kDepth) of a matrix, transposed; 0 outside.
template <bool Rounded, class T>
__device__ void stage(const T* from, std::int64_t first, std::int64_t rows, std::int64_t channel,
                      std::int64_t channels, T factor, T* to) {
  for (int i = static_cast<int>(threadIdx.x); i < kTile * kDepth; i += kThreads) {
    const std::int64_t row = first + i / kDepth;
    const std::int64_t c = channel + i % kDepth;
    const T value = row < rows && c < channels ? from[row * channels + c] : T(0);
    to[i % kDepth * kPitch + i / kDepth] = rounded<Rounded>(value * factor);
  }
}

// Scores of a tile: q·queueᵀ/T.
template <bool Rounded, class T>
__device__ void score(const Problem<T>& in, std::int64_t row, std::int64_t key, T* staged,
                      Square<T>& scores) {
  for (std::int64_t c = 0; c < in.channels; c += kDepth) {
    stage<Rounded>(in.query, row, in.rows, c, in.channels, Rounded ? in.factor : T(1), staged);
    stage<Rounded>(in.queue, key, in.keys, c, in.channels, T(1), staged + kDepth * kPitch);
    __syncthreads();
    multiply(staged, staged + kDepth * kPitch, kDepth, scores);
    __syncthreads();
  }
  if constexpr (!Rounded)
    for (auto& line : scores)
      for (T& value : line) value *= in.factor;
}

// Of four rows, the same in all 16 threads that share them.
template <class T>
struct Running {
  T maximum[4];
  double sum[4];
  T correction[4];  // e^(maximum before − maximum)
};

// Scores become weights e^(l − maximum), 0 for keys that are not there.
template <class T>
__device__ void fold(int keys, Square<T>& scores, Running<T>& running) {
  const Place place;
  for (int i = 0; i < 4; ++i) {
    T largest = running.maximum[i];
    for (int j = 0; j < 4; ++j)
      if (place.x * 4 + j < keys && scores[i][j] > largest) largest = scores[i][j];
    for (int lanes = 8; lanes > 0; lanes /= 2) {
      const T other = __shfl_xor_sync(kAllLanes, largest, lanes);
      largest = other > largest ? other : largest;
    }
    T sum = 0;
    for (int j = 0; j < 4; ++j) {
      scores[i][j] = place.x * 4 + j < keys ? std::exp(scores[i][j] - largest) : T(0);
      sum += scores[i][j];
    }
    for (int lanes = 8; lanes > 0; lanes /= 2) sum += __shfl_xor_sync(kAllLanes, sum, lanes);
    running.correction[i] = std::exp(running.maximum[i] - largest);
    running.sum[i] = running.sum[i] * static_cast<double>(running.correction[i]) + static_cast<double>(sum);
    running.maximum[i] = largest;
  }
}

// weighted = weighted·correction + weights·queue, 64 channels at a time. Each thread reads and writes numbers
// of its own, which stay in the caches: 8 bytes an element for 128 operations.
template <bool Rounded, class T>
__device__ void weigh(const Problem<T>& in, std::int64_t row, std::int64_t key, bool first, const T* weights,
                      T* values, const Running<T>& running, T* weighted) {
  const Place place;
  for (std::int64_t channel = 0; channel < in.channels; channel += kTile) {
    for (int i = static_cast<int>(threadIdx.x); i < kTile * kTile; i += kThreads) {
      const std::int64_t k = key + i / kTile;
      const std::int64_t c = channel + i % kTile;
      const T value = k < in.keys && c < in.channels ? in.queue[k * in.channels + c] : T(0);
      values[i / kTile * kPitch + i % kTile] = rounded<Rounded>(value);
    }
    __syncthreads();
    Square<T> out = {};
    multiply(weights, values, kTile, out);
    __syncthreads();
    for (int i = 0; i < 4; ++i)
      for (int j = 0; j < 4; ++j) {
        const std::int64_t r = row + place.y * 4 + i;
        const std::int64_t c = channel + place.x * 4 + j;
        if (r >= in.rows || c >= in.channels) continue;
        T& to = weighted[r * in.channels + c];
        to = first ? out[i][j] : to * running.correction[i] + out[i][j];
      }
  }
}

// One block: 64 queries against one part of the queue.
template <bool Rounded, class T>
__global__ void __launch_bounds__(kThreads) attend_kernel(Problem<T> in) {
  T* staged = dynamic_shared<T>();       // 2 x [16][64], later [64 keys][64 channels]
  T* weights = staged + kTile * kPitch;  // [64 keys][64 queries]
  const Place place;
  const std::int64_t row = std::int64_t{blockIdx.x} * kTile;
  const std::int64_t part = blockIdx.y;
  const std::int64_t first = in.tiles * part / gridDim.y;
  Running<T> running;
  for (int i = 0; i < 4; ++i) {
    running.maximum[i] = -std::numeric_limits<T>::infinity();
    running.sum[i] = 0;
  }
  for (std::int64_t tile = first; tile < in.tiles * (part + 1) / gridDim.y; ++tile) {
    const std::int64_t key = tile * kTile;
    const auto keys = static_cast<int>(in.keys - key < kTile ? in.keys - key : kTile);
    Square<T> scores = {};
    score<Rounded>(in, row, key, staged, scores);
    fold(keys, scores, running);
    if (in.weighted == nullptr) continue;
    for (int j = 0; j < 4; ++j)
      for (int i = 0; i < 4; ++i)
        weights[(place.x * 4 + j) * kPitch + place.y * 4 + i] = rounded<Rounded>(scores[i][j]);
    weigh<Rounded>(in, row, key, tile == first, weights, staged, running,
                   in.weighted + part * in.rows * in.channels);
  }
  for (int i = 0; i < 4; ++i) {
    const std::int64_t r = row + place.y * 4 + i;
    if (place.x != 0 || r >= in.rows) continue;
    in.maximum[part * in.rows + r] = running.maximum[i];
    in.sum[part * in.rows + r] = running.sum[i];
  }
}

template <bool Rounded, class T>
AttentionParts attend_as(const Tensor& query, const Tensor& queue, double temperature, bool want_grad) {
  const std::int64_t row_blocks = (query.size(0) + kTile - 1) / kTile;
  const std::int64_t tiles = (queue.size(0) + kTile - 1) / kTile;
  const std::int64_t parts = attention_parts(row_blocks, tiles);
  AttentionParts out(parts, query, query.size(1), want_grad);
  const Problem<T> in{.rows = query.size(0),
                      .keys = queue.size(0),
                      .channels = query.size(1),
                      .tiles = tiles,
                      .query = query.data<T>(),
                      .queue = queue.data<T>(),
                      .factor = static_cast<T>(1 / temperature),
                      .maximum = out.maximum.data<T>(),
                      .sum = out.sum.data<double>(),
                      .weighted = want_grad ? out.weighted.data<T>() : nullptr};
  launch("info_nce", attend_kernel<Rounded, T>,
         {.grid = dim3(static_cast<unsigned>(row_blocks), static_cast<unsigned>(parts)),
          .block = dim3(kThreads),
          .shared_bytes = 2 * kTile * kPitch * sizeof(T)},
         in);
  return out;
}

}  // namespace

AttentionParts attend(const Tensor& query, const Tensor& queue, const InfoNceParams& params, bool want_grad) {
  if (params.bfloat16_products) return attend_as<true, float>(query, queue, params.temperature, want_grad);
  return dispatch_float(query.dtype(), "info_nce", [&]<class T>() {
    return attend_as<false, T>(query, queue, params.temperature, want_grad);
  });
}

}  // namespace dcl::tensor::cuda
