// bfloat16 products of at most 128 channels on tensor cores, in the manner of FlashAttention-2: each warp has
// 32 queries, their scores, weights and weighted sums in registers; tiles of 64 keys pass through shared
// memory, the next one on its way while one is in use, and serve both products.
//
// The dense loss at batch 256, M = 12,544 and K = 65,536, is 421 GFLOP: 0.53 ms at the 790 TFLOP/s that an
// H200 sustains, about 0.7 ms at the two thirds of it that mma.sync reaches on Hopper; its 822 million
// exponentials take 0.22 ms of another unit meanwhile.
#include <limits>

#include "tensor/cuda/kernel.h"
#include "tensor/cuda/mma.h"
#include "tensor/ops/info_nce_cuda.h"

namespace dcl::tensor::cuda {

namespace {

constexpr int kChannels = static_cast<int>(kTensorCoreChannels);
constexpr int kPitch = kChannels + 8;  // so that eight rows of 16 bytes lie in different banks
constexpr int kWarps = 4;
constexpr int kThreads = kWarps * kWarpSize;
constexpr int kWarpRows = 32;
constexpr int kBlockRows = kWarps * kWarpRows;
constexpr int kKeys = 64;
constexpr float kLog2E = 1.44269504F;
// A logit may exceed the reference that weights are relative to by so much before sums are scaled to a new
// one: with each new maximum it would be a quarter of the work.
constexpr float kSlack = 8;

struct Problem {
  std::int64_t rows, keys, tiles;
  const bfloat16* query;  // [blocks·128,128], times 1/T, 0 beyond the rows and channels
  const bfloat16* queue;  // [tiles·64,128]
  float* maximum;
  double* sum;
  float* weighted;  // [parts,M,128]
};

// [rows,channels] to bfloat16 [padded_rows,128], times factor; 0 in what is new. Four numbers a thread.
__global__ void round_rows(std::int64_t rows, std::int64_t channels, std::int64_t padded_rows, float factor,
                           bool packs, const float* from, bfloat16* to) {
  for (const std::int64_t at : grid_stride(padded_rows * (kChannels / 4))) {
    const std::int64_t row = at / (kChannels / 4);
    const std::int64_t channel = at % (kChannels / 4) * 4;
    Pack<float, 4> values = {};
    if (row < rows && packs && channel < channels) {
      values = load_pack<4>(from + row * channels + channel);
    } else if (row < rows) {
      for (int i = 0; i < 4; ++i)
        if (channel + i < channels) values.values[i] = from[row * channels + channel + i];
    }
    Pack<bfloat16, 4> rounded;
    for (int i = 0; i < 4; ++i) rounded.values[i] = bfloat16(values.values[i] * factor);
    store_pack(to + at * 4, rounded);
  }
}

__device__ float exp2_fast(float x) {
#ifdef DCL_CUDA_EMULATED
  return std::exp2(x);
#else
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
#endif
}

// Over the four lanes that have a row of a fragment.
__device__ float quad_max(float x) {
  for (int lanes = 1; lanes < 4; lanes *= 2) {
    const float other = __shfl_xor_sync(kAllLanes, x, lanes);
    x = other > x ? other : x;
  }
  return x;
}
__device__ float quad_sum(float x) {
  for (int lanes = 1; lanes < 4; lanes *= 2) x += __shfl_xor_sync(kAllLanes, x, lanes);
  return x;
}

template <int Rows>
__device__ void copy_rows(bfloat16* to, const bfloat16* from) {
  constexpr int kLines = kChannels / 8;
  DCL_UNROLL
  for (int i = 0; i < Rows * kLines / kThreads; ++i) {
    const int line = i * kThreads + static_cast<int>(threadIdx.x);
    copy_async(to + line / kLines * kPitch + line % kLines * 8, from + line * 8);
  }
}

// Registers of a lane: two blocks of 16 rows, each by blocks of 8 columns. Row r of the four that a lane has
// (r·8 + lane / 4 of the warp's 32) is registers r % 2 · 2 and the next of block r / 2.
using Scores = float[2][kKeys / 8][4];
using Weighted = float[2][kChannels / 8][4];

struct Running {
  float maximum[4];    // of this lane's columns
  float reference[4];  // of the weights; the same in the four lanes of a row
  float sum[4];        // of this lane's weights
};

__device__ void score(const bfloat16* query, const bfloat16* keys, Scores& scores) {
  const int lane = static_cast<int>(threadIdx.x) % kWarpSize;
  const bfloat16* const a_at = query + lane % 16 * kPitch + lane / 16 * 8;
  const bfloat16* const b_at = keys + (lane / 16 * 8 + lane % 8) * kPitch + lane / 8 % 2 * 8;
  DCL_UNROLL
  for (auto& block : scores) {
    DCL_UNROLL
    for (auto& column : block) {
      DCL_UNROLL
      for (float& value : column) value = 0;
    }
  }
  DCL_UNROLL
  for (int c = 0; c < kChannels; c += 16) {
    const Fragment a[2] = {load_matrices(a_at + c), load_matrices(a_at + 16 * kPitch + c)};
    DCL_UNROLL
    for (int n = 0; n < kKeys / 16; ++n) {
      const Fragment b = load_matrices(b_at + n * 16 * kPitch + c);
      DCL_UNROLL
      for (int i = 0; i < 2; ++i) {
        multiply_add(scores[i][2 * n], a[i], b, 0);
        multiply_add(scores[i][2 * n + 1], a[i], b, 1);
      }
    }
  }
}

// Keys that are not there.
__device__ void mask(int keys, Scores& scores) {
  const int column = static_cast<int>(threadIdx.x) % 4 * 2;
  DCL_UNROLL
  for (int n = 0; n < kKeys / 8; ++n) {
    DCL_UNROLL
    for (int j = 0; j < 4; ++j)
      if (n * 8 + column + j % 2 >= keys)
        scores[0][n][j] = scores[1][n][j] = -std::numeric_limits<float>::infinity();
  }
}

// Sums become relative to the largest logits so far.
template <bool WantGrad>
__device__ void move_reference(Running& running, Weighted& weighted) {
  DCL_UNROLL
  for (int r = 0; r < 4; ++r) {
    const float largest = quad_max(running.maximum[r]);
    const float factor = exp2_fast((running.reference[r] - largest) * kLog2E);
    running.maximum[r] = running.reference[r] = largest;
    running.sum[r] *= factor;
    if constexpr (WantGrad) {
      DCL_UNROLL
      for (auto& column : weighted[r / 2]) {
        column[r % 2 * 2] *= factor;
        column[r % 2 * 2 + 1] *= factor;
      }
    }
  }
}

// Scores become weights e^(l − reference).
template <bool WantGrad>
__device__ void fold(Scores& scores, Running& running, Weighted& weighted) {
  bool moves = false;
  DCL_UNROLL
  for (int r = 0; r < 4; ++r) {
    DCL_UNROLL
    for (auto& column : scores[r / 2]) {
      const float larger = fmaxf(column[r % 2 * 2], column[r % 2 * 2 + 1]);  // NaN stays in the weights
      running.maximum[r] = fmaxf(running.maximum[r], larger);
    }
    moves = moves || running.maximum[r] > running.reference[r] + kSlack;
  }
  if (__any_sync(kAllLanes, moves)) move_reference<WantGrad>(running, weighted);
  DCL_UNROLL
  for (int r = 0; r < 4; ++r) {
    const float shift = running.reference[r] * kLog2E;
    DCL_UNROLL
    for (auto& column : scores[r / 2]) {
      DCL_UNROLL
      for (int j = r % 2 * 2; j < r % 2 * 2 + 2; ++j) {
        column[j] = exp2_fast(fmaf(column[j], kLog2E, -shift));
        running.sum[r] += column[j];
      }
    }
  }
}

// weighted += weights·keys: two neighbours of the scores' columns are what a lane has of the left operand.
__device__ void weigh(const Scores& weights, const bfloat16* keys, Weighted& weighted) {
  const int lane = static_cast<int>(threadIdx.x) % kWarpSize;
  const bfloat16* const at = keys + lane % 16 * kPitch + lane / 16 * 8;
  DCL_UNROLL
  for (int k = 0; k < kKeys / 16; ++k) {
    Fragment a[2];
    DCL_UNROLL
    for (int i = 0; i < 2; ++i) {
      DCL_UNROLL
      for (int j = 0; j < 4; ++j) {
        const float(&columns)[4] = weights[i][2 * k + j / 2];
        a[i].pairs[j] = bfloat16_pair(columns[j % 2 * 2], columns[j % 2 * 2 + 1]);
      }
    }
    DCL_UNROLL
    for (int n = 0; n < kChannels / 16; ++n) {
      const Fragment b = load_matrices_transposed(at + k * 16 * kPitch + n * 16);
      DCL_UNROLL
      for (int i = 0; i < 2; ++i) {
        multiply_add(weighted[i][2 * n], a[i], b, 0);
        multiply_add(weighted[i][2 * n + 1], a[i], b, 1);
      }
    }
  }
}

// What a part leaves, relative to the largest logit itself.
template <bool WantGrad>
__device__ void store(const Problem& in, std::int64_t first_row, Running& running, Weighted& weighted) {
  move_reference<WantGrad>(running, weighted);
  const int lane = static_cast<int>(threadIdx.x) % kWarpSize;
  DCL_UNROLL
  for (int r = 0; r < 4; ++r) {
    const float sum = quad_sum(running.sum[r]);
    const std::int64_t row = first_row + r * 8 + lane / 4;
    if (row >= in.rows) continue;
    const std::int64_t at = blockIdx.y * in.rows + row;
    if (lane % 4 == 0) {
      in.maximum[at] = running.maximum[r];
      in.sum[at] = static_cast<double>(sum);
    }
    if constexpr (WantGrad) {
      DCL_UNROLL
      for (int n = 0; n < kChannels / 8; ++n)
        store_pack(in.weighted + at * kChannels + n * 8 + lane % 4 * 2,
                   Pack<float, 2>{weighted[r / 2][n][r % 2 * 2], weighted[r / 2][n][r % 2 * 2 + 1]});
    }
  }
}

// One block: 128 queries against one part of the queue.
template <bool WantGrad>
__global__ void __launch_bounds__(kThreads, 2) attend_kernel(Problem in) {
  auto* const query = dynamic_shared<bfloat16>();      // [128][kPitch]
  bfloat16* const keys = query + kBlockRows * kPitch;  // 2 x [64][kPitch]
  const int warp = static_cast<int>(threadIdx.x) / kWarpSize;
  const std::int64_t first_row = std::int64_t{blockIdx.x} * kBlockRows;
  const std::int64_t first = in.tiles * blockIdx.y / gridDim.y;
  const std::int64_t end = in.tiles * (blockIdx.y + 1) / gridDim.y;
  Running running;
  Weighted weighted = {};
  DCL_UNROLL
  for (int r = 0; r < 4; ++r) {
    running.maximum[r] = running.reference[r] = -std::numeric_limits<float>::infinity();
    running.sum[r] = 0;
  }
  copy_rows<kBlockRows>(query, in.query + first_row * kChannels);
  copy_rows<kKeys>(keys, in.queue + first * kKeys * kChannels);
  for (std::int64_t tile = first; tile < end; ++tile) {
    const bfloat16* const now = keys + (tile - first) % 2 * kKeys * kPitch;
    wait_for_copies();
    __syncthreads();  // this tile is here for all, and nobody reads the one before any more
    if (tile + 1 < end)
      copy_rows<kKeys>(keys + (tile + 1 - first) % 2 * kKeys * kPitch,
                       in.queue + (tile + 1) * kKeys * kChannels);
    Scores scores;
    score(query + warp * kWarpRows * kPitch, now, scores);
    const std::int64_t left = in.keys - tile * kKeys;
    if (left < kKeys) mask(static_cast<int>(left), scores);
    fold<WantGrad>(scores, running, weighted);
    if constexpr (WantGrad) weigh(scores, now, weighted);
  }
  store<WantGrad>(in, first_row + warp * kWarpRows, running, weighted);
}

Tensor rounded_rows(const Tensor& x, std::int64_t padded_rows, double factor) {
  constexpr int kRoundThreads = 256;
  Tensor y = Tensor::empty({padded_rows, kChannels}, {DType::bfloat16, x.device()});
  const auto* from = x.data<float>();
  const bool packs = x.size(1) % 4 == 0 && reinterpret_cast<std::uintptr_t>(from) % 16 == 0;
  launch("info_nce", round_rows,
         {.grid = blocks_for(y.numel() / 4, kRoundThreads), .block = dim3(kRoundThreads)}, x.size(0),
         x.size(1), padded_rows, static_cast<float>(factor), packs, from, y.data<bfloat16>());
  return y;
}

}  // namespace

AttentionParts attend_by_tensor_cores(const Tensor& query, const Tensor& queue, const InfoNceParams& params,
                                      bool want_grad) {
  const std::int64_t row_blocks = (query.size(0) + kBlockRows - 1) / kBlockRows;
  const std::int64_t tiles = (queue.size(0) + kKeys - 1) / kKeys;
  const std::int64_t parts = attention_parts(row_blocks, tiles);
  AttentionParts out(parts, query, kChannels, want_grad);
  const Tensor rounded_query = rounded_rows(query, row_blocks * kBlockRows, 1 / params.temperature);
  const Tensor rounded_queue = rounded_rows(queue, tiles * kKeys, 1);
  launch("info_nce", want_grad ? attend_kernel<true> : attend_kernel<false>,
         {.grid = dim3(static_cast<unsigned>(row_blocks), static_cast<unsigned>(parts)),
          .block = dim3(kThreads),
          .shared_bytes = (kBlockRows + 2 * kKeys) * kPitch * sizeof(bfloat16)},
         Problem{.rows = query.size(0),
                 .keys = queue.size(0),
                 .tiles = tiles,
                 .query = rounded_query.data<bfloat16>(),
                 .queue = rounded_queue.data<bfloat16>(),
                 .maximum = out.maximum.data<float>(),
                 .sum = out.sum.data<double>(),
                 .weighted = want_grad ? out.weighted.data<float>() : nullptr});
  return out;
}

}  // namespace dcl::tensor::cuda
