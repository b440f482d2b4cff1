// Three steps: the products of all pairs of an entry's rows, tile by tile through shared memory; the best of
// each row; and, where it is asked for, the smallest margin.
#include <cmath>

#include "tensor/cuda/row_team.h"
#include "tensor/ops/nearest_rows.h"
#include "tensor/ops/nearest_rows_sizes.h"

namespace dcl::tensor::cuda {

namespace {

constexpr int kSide = 8;              // a block is 8 × 8 threads
constexpr int kEach = 7;              // each has the products of 7 × 7 pairs
constexpr int kTile = kSide * kEach;  // so that the 7 × 7 cells of a picture fit into one tile
constexpr int kThreads = kSide * kSide;
constexpr int kDepth = 16;         // channels in shared memory at a time
constexpr int kPitch = kTile + 2;  // the stores of a warp meet each bank once

std::int64_t quotient_up(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

// How the work is cut: pairs of tiles of rows, and parts of the channels, so that there are enough blocks.
struct Cut {
  std::int64_t tiles_a;
  std::int64_t tiles_b;
  std::int64_t parts;
  std::int64_t part_channels;

  explicit Cut(const NearestRowsSizes& s)
      : tiles_a(quotient_up(s.rows_a, kTile)), tiles_b(quotient_up(s.rows_b, kTile)) {
    constexpr std::int64_t kBlocks = 132 * 8;
    constexpr std::int64_t kFewestChannels = 4 * kDepth;
    const std::int64_t blocks = std::max<std::int64_t>(s.entries * tiles_a * tiles_b, 1);
    const std::int64_t most = std::max<std::int64_t>(s.channels / kFewestChannels, 1);
    const std::int64_t wanted = std::min(quotient_up(kBlocks, blocks), most);
    part_channels = quotient_up(quotient_up(s.channels, wanted), kDepth) * kDepth;
    parts = s.channels == 0 ? 1 : quotient_up(s.channels, part_channels);
  }
};

// What the first step leaves. squares_a is Σ_c a² of each part of a row.
template <class T>
struct Products {
  T* products;        // [parts,N,R,S]
  double* squares_a;  // [parts,N·R]
  double* squares_b;  // [parts,N·S]
};

// tile[k][i] = x[i][k], 0 outside of `rows` and `depth`.
template <int Width, class T>
__device__ void stage(const T* x, std::int64_t channels, std::int64_t rows, std::int64_t depth,
                      T (&tile)[kDepth][kPitch]) {
  constexpr int kPacks = kDepth / Width;
  for (int i = static_cast<int>(threadIdx.x); i < kTile * kPacks; i += kThreads) {
    const int row = i / kPacks;
    const int k = i % kPacks * Width;
    Pack<T, Width> pack{};
    if (row < rows && k < depth) pack = load_pack<Width>(x + row * channels + k);
    for (int j = 0; j < Width; ++j) tile[k + j][row] = pack.values[j];
  }
}

template <class T>
__device__ double sum_of_squares(const T (&tile)[kDepth][kPitch]) {
  T sum = 0;
  for (const auto& channel : tile) sum += channel[threadIdx.x] * channel[threadIdx.x];
  return static_cast<double>(sum);
}

// Block x is (entry, tile of a, tile of b), block y the part of the channels.
template <int Width, class T>
__global__ void __launch_bounds__(kThreads)
    multiply(NearestRowsSizes s, Cut cut, const T* a, const T* b, Products<T> out) {
  __shared__ T tile_a[kDepth][kPitch];
  __shared__ T tile_b[kDepth][kPitch];
  const std::int64_t n = blockIdx.x / (cut.tiles_a * cut.tiles_b);
  const std::int64_t first_a = blockIdx.x / cut.tiles_b % cut.tiles_a * kTile;
  const std::int64_t first_b = blockIdx.x % cut.tiles_b * kTile;
  const std::int64_t begin = blockIdx.y * cut.part_channels;
  const std::int64_t end = std::min(begin + cut.part_channels, s.channels);
  const T* a_rows = a + (n * s.rows_a + first_a) * s.channels;
  const T* b_rows = b + (n * s.rows_b + first_b) * s.channels;
  const int row = static_cast<int>(threadIdx.x) / kSide;
  const int column = static_cast<int>(threadIdx.x) % kSide;
  T sums[kEach][kEach] = {};
  double squares_a = 0, squares_b = 0;
  for (std::int64_t c = begin; c < end; c += kDepth) {
    stage<Width>(a_rows + c, s.channels, s.rows_a - first_a, end - c, tile_a);
    stage<Width>(b_rows + c, s.channels, s.rows_b - first_b, end - c, tile_b);
    __syncthreads();
    for (int k = 0; k < kDepth; ++k)
      for (int i = 0; i < kEach; ++i)
        for (int j = 0; j < kEach; ++j)
          sums[i][j] += tile_a[k][row + i * kSide] * tile_b[k][column + j * kSide];
    if (first_b == 0 && threadIdx.x < kTile) squares_a += sum_of_squares(tile_a);
    if (first_a == 0 && threadIdx.x < kTile) squares_b += sum_of_squares(tile_b);
    __syncthreads();
  }
  const std::int64_t entry = blockIdx.y * s.entries + n;
  for (int i = 0; i < kEach; ++i)
    for (int j = 0; j < kEach; ++j) {
      const std::int64_t at_a = first_a + row + i * kSide;
      const std::int64_t at_b = first_b + column + j * kSide;
      if (at_a < s.rows_a && at_b < s.rows_b)
        out.products[(entry * s.rows_a + at_a) * s.rows_b + at_b] = sums[i][j];
    }
  const std::int64_t at_a = first_a + threadIdx.x, at_b = first_b + threadIdx.x;
  if (first_b == 0 && threadIdx.x < kTile && at_a < s.rows_a)
    out.squares_a[entry * s.rows_a + at_a] = squares_a;
  if (first_a == 0 && threadIdx.x < kTile && at_b < s.rows_b)
    out.squares_b[entry * s.rows_b + at_b] = squares_b;
}

// Σ over the parts, in their order.
template <class T>
__device__ T sum_of_parts(const T* parts, std::int64_t count, std::int64_t stride) {
  T sum = parts[0];
  for (std::int64_t part = 1; part < count; ++part) sum += parts[part * stride];
  return sum;
}

template <class T>
__device__ T inverse_norm(const double* squares, std::int64_t parts, std::int64_t stride) {
  const double length = std::sqrt(sum_of_parts(squares, parts, stride));
  return static_cast<T>(1.0 / (length < kNearestRowsEps ? kNearestRowsEps : length));
}

// index and margins [N·R]: a team for each row of a.
template <class Team, class T>
__global__ void match(NearestRowsSizes s, std::int64_t parts, Products<T> in, std::int64_t* index,
                      double* margins) {
  constexpr T kLowest = -std::numeric_limits<T>::infinity();
  const std::int64_t rows = s.entries * s.rows_a;
  Team::for_each_row(rows, [&](std::int64_t i) {
    const std::int64_t first = i / s.rows_a * s.rows_b;
    const T scale_a = inverse_norm<T>(in.squares_a + i, parts, rows);
    T best = kLowest, second = kLowest;
    std::int64_t at = 0;
    Team::for_each_pack(s.rows_b, [&](std::int64_t j) {
      const T product = sum_of_parts(in.products + i * s.rows_b + j, parts, rows * s.rows_b);
      const T cosine =
          product * inverse_norm<T>(in.squares_b + first + j, parts, s.entries * s.rows_b) * scale_a;
      if (cosine > best) {
        second = best;
        best = cosine;
        at = j;
      } else if (cosine > second) {
        second = cosine;
      }
    });
    const T row_best = Team::max(best);
    const std::int64_t row_at = Team::min(best == row_best ? at : std::numeric_limits<std::int64_t>::max());
    const T row_second = Team::max(best == row_best && at == row_at ? second : best);
    if (!Team::is_first()) return;
    index[i] = first + row_at;
    const double margin = static_cast<double>(row_best - row_second);
    margins[i] = margin == margin ? margin : std::numeric_limits<double>::infinity();
  });
}

// One block; `margin` [1].
template <class Team, class T>
__global__ void smallest(std::int64_t rows, const double* margins, T* margin) {
  double least = std::numeric_limits<double>::infinity();
  Team::for_each_pack(rows, [&](std::int64_t i) { least = margins[i] < least ? margins[i] : least; });
  least = Team::min(least);
  if (Team::is_first()) *margin = static_cast<T>(least);
}

template <class T>
void launch_all(const NearestRowsSizes& s, const Tensor& a, const Tensor& b, NearestRows& result) {
  const Cut cut(s);
  const TensorOptions doubles{DType::float64, a.device()};
  Tensor products = Tensor::empty({cut.parts, s.entries, s.rows_a, s.rows_b}, a.options());
  Tensor squares_a = Tensor::empty({cut.parts, a.size(0)}, doubles);
  Tensor squares_b = Tensor::empty({cut.parts, b.size(0)}, doubles);
  Tensor margins = Tensor::empty({a.size(0)}, doubles);
  const Products<T> between{products.data<T>(), squares_a.data<double>(), squares_b.data<double>()};
  with_pack_width<T>(s.channels, {a.raw(), b.raw()}, [&]<int Width>() {
    const auto tiles = static_cast<unsigned>(s.entries * cut.tiles_a * cut.tiles_b);
    launch("nearest_rows", multiply<Width, T>,
           {.grid = dim3(tiles, static_cast<unsigned>(cut.parts)), .block = dim3(kThreads)}, s, cut,
           a.data<T>(), b.data<T>(), between);
  });
  using Warp = RowTeam<kWarpSize>;
  launch("nearest_rows", match<Warp, T>, Warp::shape(a.size(0)), s, cut.parts, between,
         result.index.data<std::int64_t>(), margins.data<double>());
  if (!result.margin.defined()) return;
  using Block = RowTeam<256>;
  launch("nearest_rows", smallest<Block, T>, Block::shape(1), a.size(0), margins.data<double>(),
         result.margin.data<T>());
}

}  // namespace

NearestRows nearest_rows(const Tensor& a, const Tensor& b, std::int64_t entries, bool want_margin) {
  const auto s = nearest_rows_sizes(a, b, entries);
  count_work({2 * static_cast<double>(a.numel() * s.rows_b), bytes_of({&a, &b})});
  NearestRows result;
  result.index = Tensor::empty({a.size(0)}, {DType::int64, a.device()});
  if (want_margin) result.margin = Tensor::empty({1}, a.options());
  dispatch_float(a.dtype(), "nearest_rows", [&]<class T>() { launch_all<T>(s, a, b, result); });
  return result;
}

}  // namespace dcl::tensor::cuda
