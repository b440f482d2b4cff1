// dweight[o,k] = sum_m dy[m,o] · windows(x)[m,k]: the sum runs over output pixels m, so dy is transposed and
// x's rows are laid in pairs; with few channels dy's rows are, and x is read as it lies in a copy
// (overlapped_gradient.h). Where the result has the picture's size, m counts the positions of a padded
// copy of x (padded_copy.h), dy is zero where the copy has padding, and a tap is a distance.
#include <algorithm>
#include <type_traits>
#include <vector>

#include "tensor/cpu/ranges.h"
#include "tensor/cpu/row_sums.h"
#include "tensor/cpu/threads.h"
#include "tensor/cpu/tiles/conv2d_tiles.h"
#include "tensor/cpu/tiles/overlapped_gradient.h"
#include "tensor/cpu/tiles/weight_gradient.h"

namespace dcl::tensor::cpu {

namespace {

// Rows of a piece of gathered ones; in bfloat16 more where the threads meet after each.
constexpr std::int64_t kRows = 512;
template <class T>
constexpr std::int64_t kSharedRows = std::is_same_v<T, bfloat16> ? 4 * kRows : kRows;
// A gradient of up to this many numbers is summed in parts, one a range of rows; of a larger one the threads
// share each piece: operands are packed in groups of channels and columns, then multiplied group by group.
constexpr std::int64_t kMaxPartialSize = 1 << 16;
constexpr std::int64_t kMaxParts = 16;
constexpr std::int64_t kGroup = 128;  // of columns, so that a pair of groups stays in the second-level cache
constexpr std::int64_t kLeastGroups = 4;  // as far as there are enough columns

// Of a gradient, or of its transpose.
struct MatrixSize {
  std::int64_t rows, cols;
  std::int64_t numel() const { return rows * cols; }
};

template <class T>
MatrixSize size_of(const WeightOperands<T>& all) {
  return {all.dy.channels, all.x.depth()};
}

void sum_parts(const float* parts, std::int64_t count, const MatrixSize& size, const WeightResult& out) {
  parallel_for(size.rows, (1 << 14) / size.cols + 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row)
      for (std::int64_t part = 0; part < count; ++part)
        row_sums<float>().add_row(size.cols, parts + part * size.numel() + row * size.cols,
                                  out.data + row * out.stride);
  });
}

template <class Operand, class Gradient>
std::vector<Operand> operands_of(const Gradient& gradient, std::int64_t columns) {
  const std::int64_t panels = divide_up(columns, kTileCols);
  const std::int64_t groups = std::max(divide_up(columns, kGroup), std::min(kLeastGroups, panels));
  std::vector<Operand> result;
  result.reserve(static_cast<std::size_t>(groups));
  for (std::int64_t i = 0; i < groups; ++i)
    result.emplace_back(gradient, Range{panels * i / groups * kTileCols,
                                        std::min(panels * (i + 1) / groups * kTileCols, columns)});
  return result;
}

template <class Gradient, class T>
void add_by_pieces(const Gradient& gradient, const WeightOperands<T>& all, const WeightResult& out) {
  auto dy = operands_of<typename Gradient::Left>(gradient, all.dy.channels);
  auto x = operands_of<typename Gradient::Right>(gradient, gradient.columns());
  for (std::int64_t piece = 0; piece < gradient.pieces(); ++piece) {
    parallel_parts(static_cast<int>(dy.size() + x.size()), [&](int part) {
      const auto i = static_cast<std::size_t>(part);
      if (i < dy.size())
        dy[i].pack(piece);
      else
        x[i - dy.size()].pack(piece);
    });
    parallel_items(std::ssize(dy) * std::ssize(x), [&](Items& items) {
      WeightAccumulator<T> tiles;
      for (std::int64_t pair = 0; items.take(pair);)
        gradient.multiply(dy[static_cast<std::size_t>(pair / std::ssize(x))],
                          x[static_cast<std::size_t>(pair % std::ssize(x))], piece, tiles, out);
    });
  }
}

template <class T, class Gradient>
void add_in_parts(const Gradient& gradient, const MatrixSize& size, const WeightResult& out) {
  const std::int64_t parts = std::min(kMaxParts, gradient.pieces());
  Tensor partial = Tensor::zeros({parts, size.numel()}, {DType::float32, {}});
  auto* const values = partial.data<float>();
  const std::int64_t tiles_of_piece =
      divide_up(size.rows, tile_kernel().rows) * divide_up(gradient.columns(), kTileCols);
  parallel_items(parts, [&](Items& items) {
    typename Gradient::Left left(gradient, {0, size.rows});
    typename Gradient::Right right(gradient, {0, gradient.columns()});
    WeightAccumulator<T> tiles;
    for (std::int64_t part = 0; items.take(part);) {
      const std::int64_t last = gradient.pieces() * (part + 1) / parts;
      for (std::int64_t piece = gradient.pieces() * part / parts; piece < last; ++piece) {
        left.pack(piece);
        right.pack(piece);
        // Memory would have nothing to do meanwhile.
        if constexpr (requires { gradient.reads(piece); })
          if (piece + 1 < last) tiles.set_ahead(gradient.reads(piece + 1), tiles_of_piece);
        gradient.multiply(left, right, piece, tiles, {values + part * size.numel(), size.cols});
      }
    }
  });
  sum_parts(values, parts, size, out);
}

// How the sum is cut depends on the sizes and the processor's second-level cache only, so that the bits do
// not depend on the number of threads. `out` is full of zeros.
template <class Gradient, class T>
void add_gradient(const WeightOperands<T>& all, const WeightResult& out) {
  if (const Gradient gradient(all, kRows); size_of(all).numel() <= kMaxPartialSize && gradient.pieces() >= 2)
    return add_in_parts<T>(gradient, size_of(all), out);
  add_by_pieces(Gradient(all, kSharedRows<T>), all, out);
}

// The left operand is transposed number by number, the right one only laid in pairs: where dy is the wider
// one, and both have so many rows that it pays, they change places. The transpose of the sum then takes one
// pass over dweight.
template <class T>
bool exchange_pays(const WeightOperands<T>& all) {
  constexpr std::int64_t kPasses = 100;  // over dweight that the sum has to be long for (measured)
  const std::int64_t columns = all.x.depth();
  return all.x.taps_h.size() * all.x.taps_w.size() == 1 &&
         all.rows() * (all.dy.channels - columns) > kPasses * all.dy.channels * columns;
}

// What add(to) has added to the transpose.
template <class Add>
void add_transposed(const MatrixSize& size, const WeightResult& out, Add&& add) {
  const std::int64_t channels = size.rows;
  const std::int64_t depth = size.cols;
  Tensor transposed = Tensor::zeros({depth, channels}, {DType::float32, {}});
  auto* const values = transposed.data<float>();
  add(WeightResult{values, channels});
  constexpr std::int64_t kSide = 16;  // of squares whose rows and columns stay in the first-level cache
  parallel_for(divide_up(channels, kSide), 1 + (1 << 14) / (kSide * depth),
               [&](std::int64_t begin, std::int64_t end) {
                 for (std::int64_t k = 0; k < depth; k += kSide)
                   for (std::int64_t o = begin * kSide; o < std::min(end * kSide, channels); ++o)
                     for (std::int64_t i = k; i < std::min(k + kSide, depth); ++i)
                       out.data[o * out.stride + i] = values[i * channels + o];
               });
}

template <class T>
void add_exchanged(const WeightOperands<T>& all, const WeightResult& out) {
  add_transposed(size_of(all), out, [&](const WeightResult& to) {
    add_gradient<GatheredGradient<T>>(WeightOperands<T>{.dy = all.x, .x = all.dy, .batch = all.batch}, to);
  });
}

// False where the sum is too large for parts, or has but one.
bool add_overlapped(const WeightOperands<bfloat16>& all, const WeightResult& out) {
  if (!OverlappedGradient::fits(all) || size_of(all).numel() > kMaxPartialSize) return false;
  const OverlappedGradient gradient(all);
  if (gradient.pieces() < 2) return false;
  add_transposed(size_of(all), out, [&](const WeightResult& to) {
    add_in_parts<bfloat16>(gradient, {all.x.depth(), all.dy.channels}, to);
  });
  return true;
}

}  // namespace

template <class T>
void conv2d_backward_weight_tiles(const Conv2dSizes& z, const T* dy, const T* x, float* dweight) {
  const std::int64_t depth = z.kernel_h * z.kernel_w * z.group_in();
  std::fill_n(dweight, z.out_channels * depth, 0.0F);
  if (z.out_rows() == 0) return;
  for (std::int64_t g = 0; g < z.params.groups; ++g) {
    WeightOperands<T> all{.dy = output_pixels(z, dy, g), .x = forward_windows(z, x, g), .batch = z.batch};
    const WeightResult out{dweight + g * z.group_out() * depth, depth};
    if constexpr (std::is_same_v<T, bfloat16>)
      if (add_overlapped(all, out)) continue;
    if (leaving_out_taps_pays(all.x, z.batch)) {
      all.x.order = order_by_live_taps(all.x, z.batch);
      all.dy.order = all.x.order;
      add_gradient<GatheredGradient<T>>(all, out);
    } else if (CopiedGradient<T>::fits(all)) {
      add_gradient<CopiedGradient<T>>(all, out);
    } else if (exchange_pays(all)) {
      add_exchanged(all, out);
    } else {
      add_gradient<GatheredGradient<T>>(all, out);
    }
  }
}

template void conv2d_backward_weight_tiles<bfloat16>(const Conv2dSizes&, const bfloat16*, const bfloat16*,
                                                     float*);
template void conv2d_backward_weight_tiles<float>(const Conv2dSizes&, const float*, const float*, float*);

}  // namespace dcl::tensor::cpu
