// vdpbf16ps: sixteen sums of two products a lane pair.
#include <array>
#include <utility>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "tensor/cpu/avx512_bf16.h"
#include "tensor/cpu/features.h"
#include "tensor/cpu/tiles/split.h"
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

template <int rows>
DCL_AVX512_BF16 void multiply_rows(const TileOperands& o, float* c) {
  __m512 left[rows];
  __m512 right[rows];
#pragma GCC unroll 14
  for (int i = 0; i < rows; ++i) left[i] = right[i] = _mm512_setzero_ps();
  for (std::int64_t block = 0; block < o.blocks; ++block) {
    const bfloat16* a = o.a + o.a_at[block];
    const bfloat16* b = o.b + o.b_at[block];
    for (int p = 0; p < kBlockDepth; p += 2) {
      const __m512bh b_left = load_pairs(b);
      const __m512bh b_right = load_pairs(b + o.b_half);
#pragma GCC unroll 14
      for (int i = 0; i < rows; ++i) {
        const __m512bh a_i = repeat_pair(a + i * o.a_stride);
        left[i] = _mm512_dpbf16_ps(left[i], a_i, b_left);
        right[i] = _mm512_dpbf16_ps(right[i], a_i, b_right);
      }
      a += 2;
      b += kTileCols;
    }
  }
#pragma GCC unroll 14
  for (int i = 0; i < rows; ++i) {
    _mm512_store_ps(c + i * kTileCols, left[i]);
    _mm512_store_ps(c + i * kTileCols + 16, right[i]);
  }
}

using MultiplyRows = void(const TileOperands&, float*);

template <int... rows>
constexpr std::array<MultiplyRows*, kAvx512Rows + 1> all_rows(
    std::integer_sequence<int, rows...> /*rows from 0 on*/) {
  return {nullptr, &multiply_rows<rows + 1>...};
}

}  // namespace

void multiply_avx512_bf16(const TileOperands& operands, float* c) {
  static constexpr auto kAllRows = all_rows(std::make_integer_sequence<int, kAvx512Rows>());
  kAllRows[static_cast<std::size_t>(operands.rows)](operands, c);
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
void store_avx512_bf16(const float*, TileRoom, const StoreEnd<bfloat16>&, bfloat16* const*) {}
void split_avx512_bf16(const float*, std::int64_t, bfloat16*, std::int64_t) {}

#endif

}  // namespace dcl::tensor::cpu
