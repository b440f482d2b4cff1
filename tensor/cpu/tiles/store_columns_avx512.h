// How 32 columns of sums are written, and in which order of columns they are summed for their moments: what
// kernels that store tiles have in common. For files that have included <immintrin.h> (avx512_bf16.h).
#pragma once

#include <cstdint>

#include "tensor/cpu/avx512_bf16.h"
#include "tensor/cpu/moment_sums.h"

#if defined(DCL_AVX512_BF16)

namespace dcl::tensor::cpu::avx512 {

// 32 columns: both halves, or as EvenOdd has them.
struct Both {
  __m512 first, second;
};

DCL_AVX512_BF16 inline Both load(const float* from) {
  return {_mm512_loadu_ps(from), _mm512_loadu_ps(from + 16)};
}

DCL_AVX512_BF16 inline Both load(const bfloat16* from) {
  return {widen(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from))),
          widen(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from + 16)))};
}

DCL_AVX512_BF16 inline Both add(Both a, Both b) {
  return {_mm512_add_ps(a.first, b.first), _mm512_add_ps(a.second, b.second)};
}

// How a T is written, and in which order of columns its moments are summed.
template <class T>
struct Columns;

template <>
struct Columns<float> {
  DCL_AVX512_BF16 static Both rounded(Both sums) { return sums; }
  DCL_AVX512_BF16 static Both store(Both sums, float* y, bool stream) {
    write_line(_mm512_castps_si512(sums.first), y, stream);
    write_line(_mm512_castps_si512(sums.second), y + 16, stream);
    return sums;
  }
  DCL_AVX512_BF16 static Both load_sums(const float* from) { return load(from); }
  DCL_AVX512_BF16 static void store_sums(Both sums, float* to) {
    _mm512_storeu_ps(to, sums.first);
    _mm512_storeu_ps(to + 16, sums.second);
  }
};

// Even columns and odd ones: they are widened in their places.
template <>
struct Columns<bfloat16> {
  DCL_AVX512_BF16 static Both sides(__m512i row) {
    const EvenOdd columns = widen_pairs(row);
    return {columns.even, columns.odd};
  }
  DCL_AVX512_BF16 static __m512i bits(Both sums) {
    return reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(sums.second, sums.first));
  }
  DCL_AVX512_BF16 static Both rounded(Both sums) { return sides(bits(sums)); }
  DCL_AVX512_BF16 static Both store(Both sums, bfloat16* y, bool stream) {
    const __m512i row = bits(sums);
    write_line(row, y, stream);
    return sides(row);
  }
  DCL_AVX512_BF16 static Both load_sums(const float* from) {
    const __m512i even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    const __m512i odd = _mm512_setr_epi32(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
    const Both sums = load(from);
    return {_mm512_permutex2var_ps(sums.first, even, sums.second),
            _mm512_permutex2var_ps(sums.first, odd, sums.second)};
  }
  DCL_AVX512_BF16 static void store_sums(Both sums, float* to) {
    const __m512i left = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    const __m512i right = _mm512_setr_epi32(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
    _mm512_storeu_ps(to, _mm512_permutex2var_ps(sums.first, left, sums.second));
    _mm512_storeu_ps(to + 16, _mm512_permutex2var_ps(sums.first, right, sums.second));
  }
};

// What a tile's columns are summed to while its rows are written.
template <class T>
struct TileMoments {
  Both shift, sum, squares;

  DCL_AVX512_BF16 static TileMoments begin(const MomentColumns<float>& columns, std::int64_t column) {
    const auto& [start, to] = columns;
    const Both zeros{_mm512_setzero_ps(), _mm512_setzero_ps()};
    TileMoments all{Columns<T>::load_sums(to.shift + column), zeros, zeros};
    if (start == MomentStart::sums) {
      all.sum = Columns<T>::load_sums(to.sum + column);
      all.squares = Columns<T>::load_sums(to.squares + column);
    }
    return all;
  }

  DCL_AVX512_BF16 void add_row(Both stored) {
    const Both away{_mm512_sub_ps(stored.first, shift.first), _mm512_sub_ps(stored.second, shift.second)};
    sum = add(sum, away);
    squares = {_mm512_fmadd_ps(away.first, away.first, squares.first),
               _mm512_fmadd_ps(away.second, away.second, squares.second)};
  }

  DCL_AVX512_BF16 void end(const MomentRow<float>& to, std::int64_t column) const {
    Columns<T>::store_sums(sum, to.sum + column);
    Columns<T>::store_sums(squares, to.squares + column);
  }
};

}  // namespace dcl::tensor::cpu::avx512
#endif
