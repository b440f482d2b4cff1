// Sums of tiles beside each other to rows of y in one pass: y = act(c + bias + residual), rounded once, and
// the moments of what is stored while it is in registers.
#include <array>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "tensor/cpu/avx512_bf16.h"
#include "tensor/cpu/streaming.h"
#include "tensor/cpu/tiles/store_columns_avx512.h"
#include "tensor/cpu/tiles/tile_targets.h"

namespace dcl::tensor::cpu {

#if defined(__x86_64__)

using namespace avx512;  // NOLINT: what the kernels are written with

namespace {

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
  if (run.moments->start == MomentStart::shift) set_shifts(run, end);
  TileMoments<T> moments[tiles];
#pragma GCC unroll 4
  for (int t = 0; t < tiles; ++t) moments[t] = TileMoments<T>::begin(*run.moments, t * kTileCols);
  for (std::int64_t i = 0; i < run.rows; ++i) {
    T* const y = run.y[i];
    if (y == nullptr) continue;
    const bool stream = end.stream && begins_line(y);
#pragma GCC unroll 4
    for (int t = 0; t < tiles; ++t)
      moments[t].add_row(Columns<T>::store(finished(run, end, i, t), y + t * kTileCols, stream));
  }
#pragma GCC unroll 4
  for (int t = 0; t < tiles; ++t) moments[t].end(run.moments->to, t * kTileCols);
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
