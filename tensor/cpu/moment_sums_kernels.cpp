#include "tensor/cpu/moment_sums_kernels.h"

#include <algorithm>
#include <type_traits>

#include "tensor/cpu/vector_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tensor/cpu/moment_sums_kernels.cpp"
#include <hwy/foreach_target.h>
// foreach_target.h comes first: it includes this file again for every instruction set.
#include <hwy/cache_control.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace dcl::tensor::cpu {
namespace HWY_NAMESPACE {
namespace {  // several files have kernels of these names

namespace hn = hwy::HWY_NAMESPACE;

template <class X, class D>
HWY_INLINE hn::Vec<D> load(D d, const X* x) {
  if constexpr (std::is_same_v<X, bfloat16>) {
    const hn::Rebind<std::uint16_t, D> halves;
    const hn::RebindToUnsigned<D> words;
    const auto bits = hn::LoadU(halves, reinterpret_cast<const std::uint16_t*>(x));
    return hn::BitCast(d, hn::ShiftLeft<16>(hn::PromoteTo(words, bits)));
  } else {
    return hn::LoadU(d, x);
  }
}

// Of `vectors` vectors of columns from column c on.
template <int vectors, class X, class T = Compute<X>>
HWY_INLINE void add_columns(const TileRows<X>& tile, std::int64_t c, MomentStart start,
                            const MomentRow<T>& to) {
  const hn::ScalableTag<T> d;
  constexpr int lanes = HWY_LANES(T);
  hn::Vec<decltype(d)> shift[vectors];
  hn::Vec<decltype(d)> sum[vectors];
  hn::Vec<decltype(d)> squares[vectors];
#pragma GCC unroll 2
  for (int i = 0; i < vectors; ++i) {
    const bool goes_on = start == MomentStart::sums;
    sum[i] = goes_on ? hn::LoadU(d, to.sum + c + i * lanes) : hn::Zero(d);
    squares[i] = goes_on ? hn::LoadU(d, to.squares + c + i * lanes) : hn::Zero(d);
    if (start == MomentStart::shift) {
      const auto row = [&](std::int64_t r) HWY_ATTR { return load(d, tile.rows[r] + c + i * lanes); };
      const auto first = row(0);
      const auto last = row(tile.count - 1);
      shift[i] = hn::Max(hn::Min(first, last), hn::Min(hn::Max(first, last), row(tile.count / 2)));
      hn::StoreU(shift[i], d, to.shift + c + i * lanes);
    } else {
      shift[i] = hn::LoadU(d, to.shift + c + i * lanes);
    }
  }
  for (std::int64_t r = 0; r < tile.count; ++r) {
    const X* const row = tile.rows[r] + c;
#pragma GCC unroll 2
    for (int i = 0; i < vectors; ++i) {
      const auto away = hn::Sub(load(d, row + i * lanes), shift[i]);
      sum[i] = hn::Add(sum[i], away);
      squares[i] = hn::MulAdd(away, away, squares[i]);
    }
  }
#pragma GCC unroll 2
  for (int i = 0; i < vectors; ++i) {
    hn::StoreU(sum[i], d, to.sum + c + i * lanes);
    hn::StoreU(squares[i], d, to.squares + c + i * lanes);
  }
}

template <class X, class T = Compute<X>>
void add_column(const TileRows<X>& tile, std::int64_t c, MomentStart start, const MomentRow<T>& to) {
  if (start == MomentStart::shift) {
    const T first = widened(tile.rows[0][c]);
    const T last = widened(tile.rows[tile.count - 1][c]);
    const T middle = widened(tile.rows[tile.count / 2][c]);
    to.shift[c] = std::max(std::min(first, last), std::min(std::max(first, last), middle));
  }
  T sum = start == MomentStart::sums ? to.sum[c] : 0;
  T squares = start == MomentStart::sums ? to.squares[c] : 0;
  for (std::int64_t r = 0; r < tile.count; ++r) {
    const T away = widened(tile.rows[r][c]) - to.shift[c];
    sum += away;
    squares += away * away;
  }
  to.sum[c] = sum;
  to.squares[c] = squares;
}

template <class T>
void widen_sums(std::int64_t cols, bool first, const T* HWY_RESTRICT from, double* HWY_RESTRICT to) {
  for (std::int64_t c = 0; c < cols; ++c) to[c] = static_cast<double>(from[c]) + (first ? 0.0 : to[c]);
}

template <class T>
void widen(std::int64_t cols, bool first, const MomentRow<T>& to) {
  widen_sums(cols, first, to.sum, to.long_sum);
  widen_sums(cols, first, to.squares, to.long_squares);
}

template <class X>
void copy_rows(const TileRows<X>& tile) {
  using Word = std::conditional_t<sizeof(X) == 8, std::uint64_t, std::uint32_t>;
  const hn::ScalableTag<Word> words;
  constexpr auto in_vector = static_cast<std::int64_t>(HWY_LANES(Word) * sizeof(Word) / sizeof(X));
  for (std::int64_t r = 0; r < tile.count; ++r) {
    const X* const from = tile.rows[r];
    X* const to = tile.to[r];
    std::int64_t c = 0;
    for (; c + in_vector <= tile.cols; c += in_vector) {
      const auto bits = hn::LoadU(words, reinterpret_cast<const Word*>(from + c));
      if (tile.stream)
        hn::Stream(bits, words, reinterpret_cast<Word*>(to + c));
      else
        hn::StoreU(bits, words, reinterpret_cast<Word*>(to + c));
    }
    for (; c < tile.cols; ++c) to[c] = from[c];
  }
}

template <class X, class T = Compute<X>>
void add(const TileRows<X>& tile, MomentStart start, const MomentRow<T>& to) {
  constexpr std::int64_t lanes = HWY_LANES(T);
  std::int64_t c = 0;
  for (; c + 2 * lanes <= tile.cols; c += 2 * lanes) add_columns<2>(tile, c, start, to);
  for (; c + lanes <= tile.cols; c += lanes) add_columns<1>(tile, c, start, to);
  for (; c < tile.cols; ++c) add_column(tile, c, start, to);
  if (tile.to != nullptr) copy_rows(tile);
}

template <class X>
const MomentKernels<X>& kernels() {
  static constexpr MomentKernels<X> all{add<X>, widen<Compute<X>>};
  return all;
}

const MomentKernels<float>& float_kernels() { return kernels<float>(); }
const MomentKernels<double>& double_kernels() { return kernels<double>(); }
const MomentKernels<bfloat16>& bfloat16_kernels() { return kernels<bfloat16>(); }

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace dcl::tensor::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace dcl::tensor::cpu {

DCL_VECTOR_DISPATCH(float_kernels, template <> const MomentKernels<float>& moment_kernels<float>())
DCL_VECTOR_DISPATCH(double_kernels, template <> const MomentKernels<double>& moment_kernels<double>())
DCL_VECTOR_DISPATCH(bfloat16_kernels, template <> const MomentKernels<bfloat16>& moment_kernels<bfloat16>())

}  // namespace dcl::tensor::cpu
#endif  // HWY_ONCE
