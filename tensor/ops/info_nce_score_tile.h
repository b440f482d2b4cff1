// A tile of scores to the weights of the next tile product while it is in registers: exponentials, their sums
// and the largest score of each row, all in one pass.
#pragma once

#include <array>
#include <cstdint>

#include "tensor/cpu/tiles/tile_kernel.h"

namespace dcl::tensor::cpu {

/// What a strip of rows has come to, sixteen columns beside each other.
struct alignas(64) ScoreLanes {
  static constexpr std::int64_t kLanes = 16;
  std::array<float, kMaxTileHeight * kLanes> sum, largest;  // [rows][16]

  void clear();
};

struct ScoreTile {
  const float* scores;      // [rows][32], as a tile kernel leaves them
  std::int64_t rows, cols;  // further columns weigh nothing
  const float* shift;       // [rows]
  bfloat16* weights;        // [rows][32], or none
  std::int64_t part_stride;
};

/// weights[i][j] = e^(scores[i][j] − shift[i]), rounded (T = bfloat16) or split into three parts (float,
/// tiles/split.h); adds them, as they were before, to lanes.sum. 2^x between whole numbers by the polynomial
/// of degree 5 with the least relative error; that of e^x is 2e-7 + |x|·2e-8. Where avx512_bf16_allowed()
/// (features.h).
template <class T>
void weigh_tile_avx512(const ScoreTile& tile, ScoreLanes& lanes);
/// The sums and the largest of each row's lanes. Where a score was NaN the sum is, and the largest means
/// nothing.
void join_lanes_avx512(const ScoreLanes& lanes, std::int64_t rows, float* sum, float* largest);

}  // namespace dcl::tensor::cpu
