#include "tensor/cpu/winograd_kernels.h"

#include <type_traits>

#include "tensor/cpu/vector_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tensor/cpu/winograd_kernels.cpp"
#include <hwy/foreach_target.h>
// foreach_target.h comes first: it includes this file again for every instruction set.
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace dcl::tensor::cpu {
namespace HWY_NAMESPACE {
namespace {  // several files have kernels of these names

namespace hn = hwy::HWY_NAMESPACE;

// The points 0, ±a, ±b, infinity.
constexpr double a = 0.625;
constexpr double b = 1.5;
constexpr double a2 = a * a;
constexpr double b2 = b * b;
// The products of the differences between each point and the others, which G divides by.
constexpr double f0 = a2 * b2;
constexpr double fa = 2 * a2 * (a2 - b2);
constexpr double fb = 2 * b2 * (b2 - a2);

// The five matrices, each applied to one vector; in a class because lambdas and templates lose the target's
// instructions when they are not inlined.
template <class T>
struct Matrices {
  using Tag = hn::ScalableTag<T>;
  using V = hn::Vec<Tag>;

  static HWY_INLINE V constant(double value) { return hn::Set(Tag(), static_cast<T>(value)); }

  // Bᵀ, 6×6: rows are the coefficients of Π (x − pⱼ) over the other points.
  struct Input {
    static constexpr int kIn = 6;
    static constexpr int kOut = 6;
    static HWY_INLINE void apply(const V* d, V* v) {
      const V at_a = hn::NegMulAdd(constant(b2), d[2], d[4]);
      const V odd_a = hn::NegMulAdd(constant(b2), d[1], d[3]);
      const V at_b = hn::NegMulAdd(constant(a2), d[2], d[4]);
      const V odd_b = hn::NegMulAdd(constant(a2), d[1], d[3]);
      v[0] = hn::MulAdd(constant(f0), d[0], hn::NegMulAdd(constant(a2 + b2), d[2], d[4]));
      v[1] = hn::MulAdd(constant(a), odd_a, at_a);
      v[2] = hn::NegMulAdd(constant(a), odd_a, at_a);
      v[3] = hn::MulAdd(constant(b), odd_b, at_b);
      v[4] = hn::NegMulAdd(constant(b), odd_b, at_b);
      v[5] = hn::MulAdd(constant(f0), d[1], hn::NegMulAdd(constant(a2 + b2), d[3], d[5]));
    }
  };

  // Aᵀ, 4×6: row k holds the powers pᵏ.
  struct Output {
    static constexpr int kIn = 6;
    static constexpr int kOut = 4;
    static HWY_INLINE void apply(const V* m, V* y) {
      const V even_a = hn::Add(m[1], m[2]);
      const V odd_a = hn::Sub(m[1], m[2]);
      const V even_b = hn::Add(m[3], m[4]);
      const V odd_b = hn::Sub(m[3], m[4]);
      y[0] = hn::Add(m[0], hn::Add(even_a, even_b));
      y[1] = hn::MulAdd(constant(a), odd_a, hn::Mul(constant(b), odd_b));
      y[2] = hn::MulAdd(constant(a2), even_a, hn::Mul(constant(b2), even_b));
      y[3] = hn::MulAdd(constant(a * a2), odd_a, hn::MulAdd(constant(b * b2), odd_b, m[5]));
    }
  };

  // A, 6×4.
  struct OutputGradient {
    static constexpr int kIn = 4;
    static constexpr int kOut = 6;
    static HWY_INLINE void apply(const V* y, V* m) {
      const V even_a = hn::MulAdd(constant(a2), y[2], y[0]);
      const V odd_a = hn::MulAdd(constant(a2), y[3], y[1]);
      const V even_b = hn::MulAdd(constant(b2), y[2], y[0]);
      const V odd_b = hn::MulAdd(constant(b2), y[3], y[1]);
      m[0] = y[0];
      m[1] = hn::MulAdd(constant(a), odd_a, even_a);
      m[2] = hn::NegMulAdd(constant(a), odd_a, even_a);
      m[3] = hn::MulAdd(constant(b), odd_b, even_b);
      m[4] = hn::NegMulAdd(constant(b), odd_b, even_b);
      m[5] = y[3];
    }
  };

  // G, 6×3: row i holds the powers of pᵢ divided by fᵢ.
  struct Weight {
    static constexpr int kIn = 3;
    static constexpr int kOut = 6;
    static HWY_INLINE void apply(const V* g, V* u) {
      const V even_a = hn::MulAdd(constant(a2 / fa), g[2], hn::Mul(constant(1 / fa), g[0]));
      const V even_b = hn::MulAdd(constant(b2 / fb), g[2], hn::Mul(constant(1 / fb), g[0]));
      u[0] = hn::Mul(constant(1 / f0), g[0]);
      u[1] = hn::MulAdd(constant(a / fa), g[1], even_a);
      u[2] = hn::NegMulAdd(constant(a / fa), g[1], even_a);
      u[3] = hn::MulAdd(constant(b / fb), g[1], even_b);
      u[4] = hn::NegMulAdd(constant(b / fb), g[1], even_b);
      u[5] = g[2];
    }
  };

  // Gᵀ, 3×6.
  struct WeightGradient {
    static constexpr int kIn = 6;
    static constexpr int kOut = 3;
    static HWY_INLINE void apply(const V* u, V* g) {
      const V even_a = hn::Add(u[1], u[2]);
      const V odd_a = hn::Sub(u[1], u[2]);
      const V even_b = hn::Add(u[3], u[4]);
      const V odd_b = hn::Sub(u[3], u[4]);
      g[0] = hn::MulAdd(constant(1 / f0), u[0],
                        hn::MulAdd(constant(1 / fa), even_a, hn::Mul(constant(1 / fb), even_b)));
      g[1] = hn::MulAdd(constant(a / fa), odd_a, hn::Mul(constant(b / fb), odd_b));
      g[2] = hn::MulAdd(constant(a2 / fa), even_a, hn::MulAdd(constant(b2 / fb), even_b, u[5]));
    }
  };
};

template <class Tag, class T>
HWY_INLINE hn::Vec<Tag> load(Tag d, const T* from) {
  return hn::LoadU(d, from);
}

template <class Tag, class V>
HWY_INLINE void store(Tag d, V v, hn::TFromD<Tag>* to) {
  hn::StoreU(v, d, to);
}

// The bits of bfloat16 are the upper half of a float's.
template <class Tag>
HWY_INLINE hn::Vec<Tag> load(Tag d, const bfloat16* from) {
  const hn::Rebind<std::uint16_t, Tag> halves;
  const hn::RebindToUnsigned<Tag> words;
  const auto bits = hn::LoadU(halves, reinterpret_cast<const std::uint16_t*>(from));
  return hn::BitCast(d, hn::ShiftLeft<16>(hn::PromoteTo(words, bits)));
}

// As bfloat16(float), in the upper halves of words; what the lower ones hold is left over.
template <class Tag, class V>
HWY_INLINE auto rounded_bits(Tag /*d*/, V v) {
  const hn::RebindToUnsigned<Tag> words;
  const auto bits = hn::BitCast(words, v);
  const auto odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(words, 1));
  const auto nearest = hn::Add(bits, hn::Add(odd, hn::Set(words, 0x7FFF)));
  const auto quiet = hn::Or(bits, hn::Set(words, 0x400000));
  const auto is_nan = hn::RebindMask(words, hn::IsNaN(v));
  return hn::IfThenElse(is_nan, quiet, nearest);
}

template <class Tag, class V>
HWY_INLINE void store(Tag d, V v, bfloat16* to) {
  const hn::Rebind<std::uint16_t, Tag> halves;
  const auto upper = hn::ShiftRight<16>(rounded_bits(d, v));
  hn::StoreU(hn::DemoteTo(halves, hn::BitCast(hn::RebindToSigned<Tag>(), upper)), halves,
             reinterpret_cast<std::uint16_t*>(to));
}

// A number of a kernel, rounded to X.
template <class X, class Tag, class T>
HWY_INLINE hn::Vec<Tag> load_rounded(Tag d, const T* from) {
  const auto value = hn::LoadU(d, from);
  if constexpr (std::is_same_v<X, T>) {
    return value;
  } else {
    const hn::RebindToUnsigned<Tag> words;
    return hn::BitCast(d, hn::And(rounded_bits(d, value), hn::Set(words, 0xFFFF0000)));
  }
}

// out = M in Mᵀ for the vector of channels at c. load(i, j) reads in[i][j], store(i, j, v) writes out[i][j].
template <class T, class Matrix, class Load, class Store>
HWY_INLINE void both_sides(Load load, Store store) {
  using V = hn::Vec<hn::ScalableTag<T>>;
  V half[Matrix::kOut][Matrix::kIn];
#pragma GCC unroll 6
  for (int j = 0; j < Matrix::kIn; ++j) {
    V column[Matrix::kIn];
    V result[Matrix::kOut];
#pragma GCC unroll 6
    for (int i = 0; i < Matrix::kIn; ++i) column[i] = load(i, j);
    Matrix::apply(column, result);
#pragma GCC unroll 6
    for (int i = 0; i < Matrix::kOut; ++i) half[i][j] = result[i];
  }
#pragma GCC unroll 6
  for (int i = 0; i < Matrix::kOut; ++i) {
    V result[Matrix::kOut];
    Matrix::apply(half[i], result);
#pragma GCC unroll 6
    for (int j = 0; j < Matrix::kOut; ++j) store(i, j, result[j]);
  }
}

// From pixels (or taps) to the 36 planes; load_at(pointer) loads a vector.
template <class Matrix, class P, class T, class LoadAt>
HWY_INLINE void to_planes(const P* const* pixels, std::int64_t channels, T* planes, std::int64_t plane,
                          LoadAt load_at) {
  const hn::ScalableTag<T> d;
  for (std::int64_t c = 0; c < channels; c += HWY_LANES(T))
    both_sides<T, Matrix>([&](int i, int j) HWY_ATTR { return load_at(pixels[i * Matrix::kIn + j] + c); },
                          [&](int i, int j, auto v)
                              HWY_ATTR { hn::StoreU(v, d, planes + (i * Matrix::kOut + j) * plane + c); });
}

// And back.
template <class Matrix, class X, class T>
HWY_INLINE void from_planes(const T* planes, std::int64_t plane, std::int64_t channels,
                            const WinogradEnd<X>& end, X* const* pixels) {
  const hn::ScalableTag<T> d;
  for (std::int64_t c = 0; c < channels; c += HWY_LANES(T)) {
    const auto added = end.bias != nullptr ? hn::LoadU(d, end.bias + c) : hn::Zero(d);
    both_sides<T, Matrix>([&](int i, int j)
                              HWY_ATTR { return hn::LoadU(d, planes + (i * Matrix::kIn + j) * plane + c); },
                          [&](int i, int j, auto v) HWY_ATTR {
                            const int at = i * Matrix::kOut + j;
                            auto sum = hn::Add(v, added);
                            if (end.residual != nullptr) sum = hn::Add(sum, load(d, end.residual[at] + c));
                            if (end.relu) sum = hn::IfThenZeroElse(hn::Lt(sum, hn::Zero(d)), sum);
                            store(d, sum, pixels[at] + c);
                          });
  }
}

template <class Matrix, class X, class T>
HWY_INLINE void pixels_to_planes(const X* const* pixels, std::int64_t channels, T* planes,
                                 std::int64_t plane) {
  to_planes<Matrix>(pixels, channels, planes, plane,
                    [](const X* at) HWY_ATTR { return load(hn::ScalableTag<T>(), at); });
}

template <class X, class T = Compute<X>>
void input(const X* const* pixels, std::int64_t channels, T* v, std::int64_t plane) {
  pixels_to_planes<typename Matrices<T>::Input>(pixels, channels, v, plane);
}

template <class X, class T = Compute<X>>
void output(const T* m, std::int64_t plane, std::int64_t channels, const WinogradEnd<X>& end,
            X* const* pixels) {
  from_planes<typename Matrices<T>::Output>(m, plane, channels, end, pixels);
}

template <class X, class T = Compute<X>>
void weight(const T* const* taps, std::int64_t channels, T* u, std::int64_t plane) {
  to_planes<typename Matrices<T>::Weight>(taps, channels, u, plane, [](const T* at) HWY_ATTR {
    return load_rounded<X>(hn::ScalableTag<T>(), at);
  });
}

template <class X, class T = Compute<X>>
void output_gradient(const X* const* pixels, std::int64_t channels, T* v, std::int64_t plane) {
  pixels_to_planes<typename Matrices<T>::OutputGradient>(pixels, channels, v, plane);
}

template <class T>
void weight_gradient(const T* u, std::int64_t plane, std::int64_t channels, T* const* taps) {
  from_planes<typename Matrices<T>::WeightGradient>(u, plane, channels, WinogradEnd<T>(), taps);
}

template <class X>
const WinogradKernels<X>& kernels() {
  using T = Compute<X>;
  static constexpr WinogradKernels<X> all{input<X>, output<X>, weight<X>, output_gradient<X>,
                                          weight_gradient<T>};
  return all;
}

const WinogradKernels<float>& float_kernels() { return kernels<float>(); }
const WinogradKernels<double>& double_kernels() { return kernels<double>(); }
const WinogradKernels<bfloat16>& bfloat16_kernels() { return kernels<bfloat16>(); }

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace dcl::tensor::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace dcl::tensor::cpu {

DCL_VECTOR_DISPATCH(float_kernels, template <> const WinogradKernels<float>& winograd_kernels<float>())
DCL_VECTOR_DISPATCH(double_kernels, template <> const WinogradKernels<double>& winograd_kernels<double>())
DCL_VECTOR_DISPATCH(bfloat16_kernels,
                    template <> const WinogradKernels<bfloat16>& winograd_kernels<bfloat16>())

}  // namespace dcl::tensor::cpu
#endif  // HWY_ONCE
