// Sums of tiles beside each other to rows of y in one pass: y = act(c + bias + residual), rounded once, and
// the moments of what is stored while it is in registers.
#include <array>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "tensor/cpu/avx512_bf16.h"
#include "tensor/cpu/streaming.h"
#include "tensor/cpu/tiles/tile_targets.h"

namespace dcl::tensor::cpu {

#if defined(__x86_64__)

using namespace avx512;  // NOLINT: what the kernels are written with

namespace {

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

template <class T>
DCL_AVX512_BF16 inline Both finished(const TileRun<T>& run, const StoreEnd<T>& end, std::int64_t row,
                                     std::int64_t tile) {
  Both sums = load(run.c + tile * kTilePitch + row * kTileCols);
  if (end.bias != nullptr) sums = add(sums, load(end.bias + tile * kTileCols));
  if (end.residual != nullptr) sums = add(sums, load(end.residual[row] + tile * kTileCols));
  if (end.relu) sums = {relu_of(sums.first), relu_of(sums.second)};
  return sums;
}

DCL_AVX512_BF16 inline __m512 median(__m512 a, __m512 b, __m512 c) {
  const __m512 least = _mm512_maskz_min_ps(kAll, a, b);
  const __m512 most = _mm512_maskz_max_ps(kAll, a, b);
  return _mm512_maskz_max_ps(kAll, least, _mm512_maskz_min_ps(kAll, most, c));
}

// A shift for each column of a part: the median of three of its first rows.
template <class T>
DCL_AVX512_BF16 void set_shifts(const TileRun<T>& run, const StoreEnd<T>& end) {
  std::array<std::int64_t, kMaxTileHeight> rows;
  std::int64_t count = 0;
  for (std::int64_t i = 0; i < run.rows; ++i)
    if (run.y[i] != nullptr) rows[static_cast<std::size_t>(count++)] = i;
  for (std::int64_t tile = 0; tile < run.tiles; ++tile) {
    const auto row = [&](std::int64_t i) DCL_AVX512_BF16 {
      return Columns<T>::rounded(finished(run, end, rows[static_cast<std::size_t>(i)], tile));
    };
    const Both first = row(0);
    const Both last = row(count - 1);
    const Both middle = row(count / 2);
    Columns<T>::store_sums(
        {median(first.first, last.first, middle.first), median(first.second, last.second, middle.second)},
        run.moments->to.shift + tile * kTileCols);
  }
}

template <int tiles, class T>
DCL_AVX512_BF16 void store_tiles(const TileRun<T>& run, const StoreEnd<T>& end) {
  for (std::int64_t i = 0; i < run.rows; ++i) {
    T* const y = run.y[i];
    if (y == nullptr) continue;
    const bool stream = end.stream && begins_line(y);
#pragma GCC unroll 4
    for (int t = 0; t < tiles; ++t) Columns<T>::store(finished(run, end, i, t), y + t * kTileCols, stream);
  }
}

template <int tiles, class T>
DCL_AVX512_BF16 void store_and_add_tiles(const TileRun<T>& run, const StoreEnd<T>& end) {
  const auto& [start, to] = *run.moments;
  if (start == MomentStart::shift) set_shifts(run, end);
  Both shift[tiles];
  Both sum[tiles];
  Both squares[tiles];
#pragma GCC unroll 4
  for (int t = 0; t < tiles; ++t) {
    shift[t] = Columns<T>::load_sums(to.shift + t * kTileCols);
    sum[t] = squares[t] = {_mm512_setzero_ps(), _mm512_setzero_ps()};
    if (start == MomentStart::sums) {
      sum[t] = Columns<T>::load_sums(to.sum + t * kTileCols);
      squares[t] = Columns<T>::load_sums(to.squares + t * kTileCols);
    }
  }
  for (std::int64_t i = 0; i < run.rows; ++i) {
    T* const y = run.y[i];
    if (y == nullptr) continue;
    const bool stream = end.stream && begins_line(y);
#pragma GCC unroll 4
    for (int t = 0; t < tiles; ++t) {
      const Both stored = Columns<T>::store(finished(run, end, i, t), y + t * kTileCols, stream);
      const Both away{_mm512_sub_ps(stored.first, shift[t].first),
                      _mm512_sub_ps(stored.second, shift[t].second)};
      sum[t] = add(sum[t], away);
      squares[t].first = _mm512_fmadd_ps(away.first, away.first, squares[t].first);
      squares[t].second = _mm512_fmadd_ps(away.second, away.second, squares[t].second);
    }
  }
#pragma GCC unroll 4
  for (int t = 0; t < tiles; ++t) {
    Columns<T>::store_sums(sum[t], to.sum + t * kTileCols);
    Columns<T>::store_sums(squares[t], to.squares + t * kTileCols);
  }
}

template <int tiles, class T>
void store_so_many(const TileRun<T>& run, const StoreEnd<T>& end) {
  if (run.moments == nullptr)
    store_tiles<tiles>(run, end);
  else
    store_and_add_tiles<tiles>(run, end);
}

template <class T>
void store_run(const TileRun<T>& run, const StoreEnd<T>& end) {
  static_assert(kMaxTileRun == 4);
  switch (run.tiles) {
    case 1:
      return store_so_many<1>(run, end);
    case 2:
      return store_so_many<2>(run, end);
    case 3:
      return store_so_many<3>(run, end);
    default:
      return store_so_many<4>(run, end);
  }
}

}  // namespace

void store_run_avx512_bf16(const TileRun<bfloat16>& run, const StoreEnd<bfloat16>& end) {
  store_run(run, end);
}
void store_run_avx512_bf16(const TileRun<float>& run, const StoreEnd<float>& end) { store_run(run, end); }

#else

void store_run_avx512_bf16(const TileRun<bfloat16>&, const StoreEnd<bfloat16>&) {}
void store_run_avx512_bf16(const TileRun<float>&, const StoreEnd<float>&) {}

#endif

}  // namespace dcl::tensor::cpu
