// Sums of tiles beside each other to rows of y in one pass: y = act(c + bias + residual), rounded once, and
// the moments of what is stored while it is in registers.
#include <array>

#include "tensor/cpu/streaming.h"
#include "tensor/cpu/tiles/tile_targets.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define DCL_AVX512_BF16 __attribute__((target("avx512f,avx512bw,avx512vl,avx512bf16")))
#endif

namespace dcl::tensor::cpu {

#if defined(__x86_64__)

namespace {

// 32 columns.
struct Halves {
  __m512 left, right;
};

DCL_AVX512_BF16 inline Halves load(const float* from) {
  return {_mm512_loadu_ps(from), _mm512_loadu_ps(from + 16)};
}

DCL_AVX512_BF16 inline __m512 load_16(const bfloat16* from) {
  const auto all = static_cast<__mmask16>(-1);  // without a mask GCC 12 warns of its own header
  const __m256i bits = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
  return _mm512_castsi512_ps(_mm512_maskz_slli_epi32(all, _mm512_maskz_cvtepu16_epi32(all, bits), 16));
}

DCL_AVX512_BF16 inline Halves load(const bfloat16* from) { return {load_16(from), load_16(from + 16)}; }

DCL_AVX512_BF16 inline Halves add(Halves a, Halves b) {
  return {_mm512_add_ps(a.left, b.left), _mm512_add_ps(a.right, b.right)};
}

DCL_AVX512_BF16 inline void write(__m512i bits, void* to, bool stream) {
  if (stream)
    _mm512_stream_si512(static_cast<__m512i*>(to), bits);
  else
    _mm512_storeu_si512(to, bits);
}

// How a T is written, and in which order of columns its moments are summed.
template <class T>
struct Columns;

template <>
struct Columns<float> {
  DCL_AVX512_BF16 static Halves rounded(Halves sums) { return sums; }
  DCL_AVX512_BF16 static Halves store(Halves sums, float* y, bool stream) {
    write(_mm512_castps_si512(sums.left), y, stream);
    write(_mm512_castps_si512(sums.right), y + 16, stream);
    return sums;
  }
  DCL_AVX512_BF16 static Halves load_sums(const float* from) { return load(from); }
  DCL_AVX512_BF16 static void store_sums(Halves sums, float* to) {
    _mm512_storeu_ps(to, sums.left);
    _mm512_storeu_ps(to + 16, sums.right);
  }
};

// Even columns and odd ones: they are widened in their places.
template <>
struct Columns<bfloat16> {
  DCL_AVX512_BF16 static Halves widen(__m512i row) {
    const auto all = static_cast<__mmask16>(-1);
    const __m512i odd = _mm512_maskz_and_epi32(all, row, _mm512_set1_epi32(static_cast<int>(0xFFFF0000U)));
    return {_mm512_castsi512_ps(_mm512_maskz_slli_epi32(all, row, 16)), _mm512_castsi512_ps(odd)};
  }
  DCL_AVX512_BF16 static __m512i bits(Halves sums) {
    return reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(sums.right, sums.left));
  }
  DCL_AVX512_BF16 static Halves rounded(Halves sums) { return widen(bits(sums)); }
  DCL_AVX512_BF16 static Halves store(Halves sums, bfloat16* y, bool stream) {
    const __m512i row = bits(sums);
    write(row, y, stream);
    return widen(row);
  }
  DCL_AVX512_BF16 static Halves load_sums(const float* from) {
    const __m512i even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    const __m512i odd = _mm512_setr_epi32(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
    const Halves sums = load(from);
    return {_mm512_permutex2var_ps(sums.left, even, sums.right),
            _mm512_permutex2var_ps(sums.left, odd, sums.right)};
  }
  DCL_AVX512_BF16 static void store_sums(Halves sums, float* to) {
    const __m512i left = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    const __m512i right = _mm512_setr_epi32(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
    _mm512_storeu_ps(to, _mm512_permutex2var_ps(sums.left, left, sums.right));
    _mm512_storeu_ps(to + 16, _mm512_permutex2var_ps(sums.left, right, sums.right));
  }
};

template <class T>
DCL_AVX512_BF16 inline Halves finished(const TileRun<T>& run, const StoreEnd<T>& end, std::int64_t row,
                                       std::int64_t tile) {
  Halves sums = load(run.c + tile * kTilePitch + row * kTileCols);
  if (end.bias != nullptr) sums = add(sums, load(end.bias + tile * kTileCols));
  if (end.residual != nullptr) sums = add(sums, load(end.residual[row] + tile * kTileCols));
  if (end.relu) {  // of zero and NaN the instruction gives its second operand
    const auto all = static_cast<__mmask16>(-1);
    sums.left = _mm512_maskz_max_ps(all, _mm512_setzero_ps(), sums.left);
    sums.right = _mm512_maskz_max_ps(all, _mm512_setzero_ps(), sums.right);
  }
  return sums;
}

DCL_AVX512_BF16 inline __m512 median(__m512 a, __m512 b, __m512 c) {
  const auto all = static_cast<__mmask16>(-1);
  const __m512 least = _mm512_maskz_min_ps(all, a, b);
  const __m512 most = _mm512_maskz_max_ps(all, a, b);
  return _mm512_maskz_max_ps(all, least, _mm512_maskz_min_ps(all, most, c));
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
    const Halves first = row(0);
    const Halves last = row(count - 1);
    const Halves middle = row(count / 2);
    Columns<T>::store_sums(
        {median(first.left, last.left, middle.left), median(first.right, last.right, middle.right)},
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
  Halves shift[tiles];
  Halves sum[tiles];
  Halves squares[tiles];
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
      const Halves stored = Columns<T>::store(finished(run, end, i, t), y + t * kTileCols, stream);
      const Halves away{_mm512_sub_ps(stored.left, shift[t].left),
                        _mm512_sub_ps(stored.right, shift[t].right)};
      sum[t] = add(sum[t], away);
      squares[t].left = _mm512_fmadd_ps(away.left, away.left, squares[t].left);
      squares[t].right = _mm512_fmadd_ps(away.right, away.right, squares[t].right);
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
