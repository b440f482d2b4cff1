// vdpbf16ps: sixteen sums of two products a lane pair.
#include <array>
#include <utility>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "tensor/cpu/avx512_bf16.h"
#include "tensor/cpu/features.h"
#include "tensor/cpu/prefetch.h"
#include "tensor/cpu/streaming.h"
#include "tensor/cpu/tiles/split.h"
#include "tensor/cpu/tiles/store_columns_avx512.h"
#include "tensor/cpu/tiles/tile_targets.h"

namespace dcl::tensor::cpu {

#if defined(__x86_64__)

bool avx512_bf16_allowed() {
  static const bool allowed = cpu_level() >= CpuLevel::avx512 && __builtin_cpu_supports("avx512bf16") != 0 &&
                              __builtin_cpu_supports("avx512bw") != 0 &&
                              __builtin_cpu_supports("avx512vl") != 0;
  return allowed;
}

using namespace avx512;  // NOLINT: what the kernels are written with

namespace {

DCL_AVX512_BF16 inline __m512bh load_pairs(const bfloat16* from) {
  return reinterpret_cast<__m512bh>(_mm512_loadu_si512(from));
}

// The pair of terms at `from` in every lane.
DCL_AVX512_BF16 inline __m512bh repeat_pair(const bfloat16* from) {
  std::int32_t pair = 0;
  __builtin_memcpy(&pair, from, sizeof pair);
  return reinterpret_cast<__m512bh>(_mm512_set1_epi32(pair));
}

// Sixteen bfloat16, those of the mask.
DCL_AVX512_BF16 inline __m512 load_some(__mmask16 mask, const bfloat16* from) {
  return widen(_mm256_maskz_loadu_epi16(mask, from));
}

// Both halves of the columns of each row.
template <int rows>
struct TileSums {
  __m512 left[rows];
  __m512 right[rows];
};

template <int rows>
DCL_AVX512_BF16 __attribute__((always_inline)) inline void sum_products(const TileOperands& o,
                                                                        TileSums<rows>& c) {
#pragma GCC unroll 14
  for (int i = 0; i < rows; ++i) c.left[i] = c.right[i] = _mm512_setzero_ps();
  const bfloat16* ahead = o.ahead;
  for (std::int64_t block = 0; block < o.blocks; ++block) {
    prefetch_to_l2(ahead, o.ahead_of_block);
    ahead += o.ahead_of_block;
    const bfloat16* a = o.a + o.a_at[block];
    const bfloat16* b = o.b + o.b_at[block];
    for (std::int64_t pair = 0; pair < o.pairs; ++pair) {
      const __m512bh b_left = load_pairs(b);
      const __m512bh b_right = load_pairs(b + o.b_half);
#pragma GCC unroll 14
      for (int i = 0; i < rows; ++i) {
        const __m512bh a_i = repeat_pair(a + i * o.a_stride);
        c.left[i] = _mm512_dpbf16_ps(c.left[i], a_i, b_left);
        c.right[i] = _mm512_dpbf16_ps(c.right[i], a_i, b_right);
      }
      a += o.a_pair_stride;
      b += kTileCols;
    }
  }
}

template <int rows>
DCL_AVX512_BF16 void multiply_rows(const TileOperands& operands, float* c) {
  TileSums<rows> sums;
  sum_products(operands, sums);
#pragma GCC unroll 14
  for (int i = 0; i < rows; ++i) {
    _mm512_store_ps(c + i * kTileCols, sums.left[i]);
    _mm512_store_ps(c + i * kTileCols + 16, sums.right[i]);
  }
}

DCL_AVX512_BF16 inline Both finished(Both sums, const TileStore& to, const bfloat16* y) {
  if (to.bias != nullptr) sums = add(sums, load(to.bias));
  if (to.residual != nullptr) sums = add(sums, load(to.residual + (y - to.origin)));
  if (to.relu) sums = {relu_of(sums.first), relu_of(sums.second)};
  return sums;
}

template <int rows>
DCL_AVX512_BF16 void multiply_store_rows(const TileOperands& operands, const TileStore& to) {
  using All = Columns<bfloat16>;
  TileSums<rows> sums;
  sum_products(operands, sums);
  __m512i stored[rows];
#pragma GCC unroll 14
  for (int i = 0; i < rows; ++i) {
    stored[i] = _mm512_setzero_si512();
    if (to.y[i] == nullptr) continue;
    bfloat16* const y = to.y[i] + to.column;
    stored[i] = All::bits(finished({sums.left[i], sums.right[i]}, to, y));
    write_line(stored[i], y, to.stream && begins_line(y));
  }
  if (to.moments == nullptr) return;
  auto moments = TileMoments<bfloat16>::begin(*to.moments, 0);
#pragma GCC unroll 14
  for (int i = 0; i < rows; ++i)
    if (to.y[i] != nullptr) moments.add_row(All::sides(stored[i]));
  moments.end(to.moments->to, 0);
}

// By the number of rows.
template <class Run>
using ByRows = std::array<Run*, kAvx512Rows + 1>;

template <int... rows>
constexpr ByRows<void(const TileOperands&, float*)> all_multiply(
    std::integer_sequence<int, rows...> /*rows from 0 on*/) {
  return {nullptr, &multiply_rows<rows + 1>...};
}

template <int... rows>
constexpr ByRows<void(const TileOperands&, const TileStore&)> all_multiply_store(
    std::integer_sequence<int, rows...> /*rows from 0 on*/) {
  return {nullptr, &multiply_store_rows<rows + 1>...};
}

}  // namespace

void multiply_avx512_bf16(const TileOperands& operands, float* c) {
  static constexpr auto kByRows = all_multiply(std::make_integer_sequence<int, kAvx512Rows>());
  kByRows[static_cast<std::size_t>(operands.rows)](operands, c);
}

void multiply_store_avx512_bf16(const TileOperands& operands, const TileStore& store) {
  static constexpr auto kByRows = all_multiply_store(std::make_integer_sequence<int, kAvx512Rows>());
  kByRows[static_cast<std::size_t>(operands.rows)](operands, store);
}

DCL_AVX512_BF16 void store_avx512_bf16(const float* c, TileRoom room, const StoreEnd<bfloat16>& end,
                                       bfloat16* const* y) {
  const auto mask = static_cast<__mmask32>((std::uint64_t{1} << room.cols) - 1);
  const auto left_mask = static_cast<__mmask16>(mask);
  const auto right_mask = static_cast<__mmask16>(mask >> 16);
  __m512 bias_left = _mm512_setzero_ps();
  __m512 bias_right = _mm512_setzero_ps();
  if (end.bias != nullptr) {
    bias_left = _mm512_maskz_loadu_ps(left_mask, end.bias);
    bias_right = _mm512_maskz_loadu_ps(right_mask, end.bias + 16);
  }
  for (std::int64_t i = 0; i < room.rows; ++i) {
    if (y[i] == nullptr) continue;
    __m512 left = _mm512_add_ps(_mm512_load_ps(c + i * kTileCols), bias_left);
    __m512 right = _mm512_add_ps(_mm512_load_ps(c + i * kTileCols + 16), bias_right);
    if (end.residual != nullptr) {
      left = _mm512_add_ps(left, load_some(left_mask, end.residual[i]));
      right = _mm512_add_ps(right, load_some(right_mask, end.residual[i] + 16));
    }
    if (end.relu) {
      left = relu_of(left);
      right = relu_of(right);
    }
    _mm512_mask_storeu_epi16(y[i], mask, reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(right, left)));
  }
}

DCL_AVX512_BF16 void split_avx512_bf16(const float* x, std::int64_t n, bfloat16* out,
                                       std::int64_t part_stride) {
  for (std::int64_t i = 0; i < n; i += 16) {
    const __mmask16 mask = first_lanes(n - i);
    __m512 value = _mm512_maskz_loadu_ps(mask, x + i);
#pragma GCC unroll 3
    for (std::int64_t part = 0; part < kParts<float>; ++part)
      _mm256_mask_storeu_epi16(out + part * part_stride + i, mask, take_rounded(value));
  }
}

#else

bool avx512_bf16_allowed() { return false; }
void multiply_avx512_bf16(const TileOperands&, float*) {}
void multiply_store_avx512_bf16(const TileOperands&, const TileStore&) {}
void store_avx512_bf16(const float*, TileRoom, const StoreEnd<bfloat16>&, bfloat16* const*) {}
void split_avx512_bf16(const float*, std::int64_t, bfloat16*, std::int64_t) {}

#endif

}  // namespace dcl::tensor::cpu
