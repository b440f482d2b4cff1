#include <limits>
#include <type_traits>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "tensor/cpu/avx512_bf16.h"
#include "tensor/cpu/tiles/split.h"
#include "tensor/ops/info_nce_score_tile.h"

namespace dcl::tensor::cpu {

void ScoreLanes::clear() {
  sum.fill(0);
  largest.fill(-std::numeric_limits<float>::infinity());
}

#if defined(__x86_64__)

using namespace avx512;  // NOLINT: what the kernels are written with

namespace {

// e^x = 2^(whole + rest), |rest| <= 1/2; zero in the lanes that are not of the mask. Below -140 it is zero,
// also of -infinity; NaN stays.
DCL_AVX512_BF16 inline __m512 exp_of(__mmask16 mask, __m512 x) {
  const __m512 log2e = _mm512_set1_ps(1.44269504F);
  x = _mm512_maskz_max_ps(kAll, _mm512_set1_ps(-140.0F), x);
  const __m512 whole = _mm512_maskz_roundscale_ps(kAll, _mm512_mul_ps(x, log2e),
                                                  _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  const __m512 rest = _mm512_fmsub_ps(x, log2e, whole);
  __m512 power = _mm512_set1_ps(1.3264727e-3F);
  for (const float coefficient : {9.6715130e-3F, 5.5507336e-2F, 2.4022242e-1F, 6.9314700e-1F, 1.0F})
    power = _mm512_fmadd_ps(power, rest, _mm512_set1_ps(coefficient));
  return _mm512_maskz_scalef_ps(mask, power, whole);
}

template <class T>
DCL_AVX512_BF16 inline void write_weights(__m512 left, __m512 right, bfloat16* to, std::int64_t part_stride) {
  if constexpr (std::is_same_v<T, bfloat16>) {
    _mm512_storeu_si512(to, reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(right, left)));
  } else {
    for (std::int64_t part = 0; part < kParts<T>; ++part, to += part_stride) {
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), take_rounded(left));
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + 16), take_rounded(right));
    }
  }
}

template <class T>
DCL_AVX512_BF16 void weigh(const ScoreTile& tile, ScoreLanes& lanes) {
  const __mmask16 left_mask = first_lanes(tile.cols);
  const __mmask16 right_mask = first_lanes(tile.cols < 16 ? 0 : tile.cols - 16);
  for (std::int64_t i = 0; i < tile.rows; ++i) {
    const __m512 left = _mm512_load_ps(tile.scores + i * kTileCols);
    const __m512 right = _mm512_load_ps(tile.scores + i * kTileCols + 16);
    const __m512 shift = _mm512_set1_ps(tile.shift[i]);
    const __m512 left_weight = exp_of(left_mask, _mm512_sub_ps(left, shift));
    const __m512 right_weight = exp_of(right_mask, _mm512_sub_ps(right, shift));
    float* const sum = lanes.sum.data() + i * ScoreLanes::kLanes;
    float* const largest = lanes.largest.data() + i * ScoreLanes::kLanes;
    _mm512_store_ps(sum, _mm512_add_ps(_mm512_load_ps(sum), _mm512_add_ps(left_weight, right_weight)));
    __m512 most = _mm512_load_ps(largest);
    most = _mm512_mask_max_ps(most, left_mask, most, left);
    _mm512_store_ps(largest, _mm512_mask_max_ps(most, right_mask, most, right));
    if (tile.weights != nullptr)
      write_weights<T>(left_weight, right_weight, tile.weights + i * kBlockDepth, tile.part_stride);
  }
}

// Lanes of v change places so that, four times, each meets those that it has not met. (GCC 12 warns of its
// own _mm512_reduce_add_ps and _mm512_reduce_max_ps.)
template <int step>
DCL_AVX512_BF16 inline __m512 partners(__m512 v) {
  if constexpr (step == 0) return _mm512_maskz_shuffle_f32x4(kAll, v, v, 0x4E);
  if constexpr (step == 1) return _mm512_maskz_shuffle_f32x4(kAll, v, v, 0xB1);
  if constexpr (step == 2) return _mm512_maskz_permute_ps(kAll, v, 0x4E);
  return _mm512_maskz_permute_ps(kAll, v, 0xB1);
}

DCL_AVX512_BF16 inline float sum_of(__m512 v) {
  v = _mm512_add_ps(v, partners<0>(v));
  v = _mm512_add_ps(v, partners<1>(v));
  v = _mm512_add_ps(v, partners<2>(v));
  return _mm512_cvtss_f32(_mm512_add_ps(v, partners<3>(v)));
}

DCL_AVX512_BF16 inline float largest_of(__m512 v) {
  v = _mm512_maskz_max_ps(kAll, v, partners<0>(v));
  v = _mm512_maskz_max_ps(kAll, v, partners<1>(v));
  v = _mm512_maskz_max_ps(kAll, v, partners<2>(v));
  return _mm512_cvtss_f32(_mm512_maskz_max_ps(kAll, v, partners<3>(v)));
}

}  // namespace

template <class T>
void weigh_tile_avx512(const ScoreTile& tile, ScoreLanes& lanes) {
  weigh<T>(tile, lanes);
}

DCL_AVX512_BF16 void join_lanes_avx512(const ScoreLanes& lanes, std::int64_t rows, float* sum,
                                       float* largest) {
  for (std::int64_t i = 0; i < rows; ++i) {
    sum[i] = sum_of(_mm512_load_ps(lanes.sum.data() + i * ScoreLanes::kLanes));
    largest[i] = largest_of(_mm512_load_ps(lanes.largest.data() + i * ScoreLanes::kLanes));
  }
}

#else

template <class T>
void weigh_tile_avx512(const ScoreTile&, ScoreLanes&) {}
void join_lanes_avx512(const ScoreLanes&, std::int64_t, float*, float*) {}

#endif

template void weigh_tile_avx512<bfloat16>(const ScoreTile&, ScoreLanes&);
template void weigh_tile_avx512<float>(const ScoreTile&, ScoreLanes&);

}  // namespace dcl::tensor::cpu
