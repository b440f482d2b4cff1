// What the kernels by AVX-512's bfloat16 instructions have in common. GCC and Clang compile the functions
// marked DCL_AVX512_BF16 alone for the instruction set, so that nothing else of their files needs it; who
// calls them asks avx512_bf16_allowed() (features.h) first. For files that have included <immintrin.h>: this
// one, which is installed, does not; to others it is empty.
#pragma once

#include <cstdint>

#if defined(_IMMINTRIN_H_INCLUDED) || defined(__IMMINTRIN_H)

#define DCL_AVX512_BF16 __attribute__((target("avx512f,avx512bw,avx512vl,avx512bf16")))

namespace dcl::tensor::cpu::avx512 {

// Masks of all lanes: GCC 12 warns of its own header where an intrinsic has none.
inline constexpr auto kAll = static_cast<__mmask16>(-1);
inline constexpr auto kAllDoubles = static_cast<__mmask8>(-1);
inline constexpr auto kAllHalves = static_cast<__mmask32>(-1);

/// The mask of the first `count` of 16 lanes, of all where there are more.
inline __mmask16 first_lanes(std::int64_t count) {
  return static_cast<__mmask16>(count >= 16 ? 0xFFFF : (1 << count) - 1);
}

DCL_AVX512_BF16 inline __m512 widen(__m256i sixteen) {
  return _mm512_castsi512_ps(_mm512_maskz_slli_epi32(kAll, _mm512_maskz_cvtepu16_epi32(kAll, sixteen), 16));
}

/// 32 numbers as their even places and their odd ones, which are widened where they are.
struct EvenOdd {
  __m512 even, odd;
};

DCL_AVX512_BF16 inline EvenOdd widen_pairs(__m512i pairs) {
  const __m512i high = _mm512_set1_epi32(static_cast<int>(0xFFFF0000U));
  return {_mm512_castsi512_ps(_mm512_maskz_slli_epi32(kAll, pairs, 16)),
          _mm512_castsi512_ps(_mm512_maskz_and_epi32(kAll, pairs, high))};
}

/// Rounded, and each even one before its odd one.
DCL_AVX512_BF16 inline __m512i round_pairs(EvenOdd x) {
  const __m512i one_by_one = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8,
                                              23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
  const auto rounded = reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(x.odd, x.even));
  return _mm512_maskz_permutexvar_epi16(kAllHalves, one_by_one, rounded);
}

/// x rounded; what rounding leaves of it stays in it.
DCL_AVX512_BF16 inline __m256i take_rounded(__m512& x) {
  const auto rounded = reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(x));
  x = _mm512_sub_ps(x, widen(rounded));
  return rounded;
}

/// Of zero and NaN the instruction gives its second operand.
DCL_AVX512_BF16 inline __m512 relu_of(__m512 u) { return _mm512_maskz_max_ps(kAll, _mm512_setzero_ps(), u); }

/// A whole line, past the caches (tensor/cpu/streaming.h) if `stream`.
DCL_AVX512_BF16 inline void write_line(__m512i line, void* to, bool stream) {
  if (stream)
    _mm512_stream_si512(static_cast<__m512i*>(to), line);
  else
    _mm512_storeu_si512(to, line);
}

}  // namespace dcl::tensor::cpu::avx512
#endif
