// The transforms of Winograd's convolution F(4×4, 3×3) (Lavin and Gray, "Fast Algorithms for Convolutional
// Neural Networks", CVPR 2016): a 4×4 tile of the result of a 3×3 kernel is
//
//   y = Aᵀ [ (G g Gᵀ) ⊙ (Bᵀ d B) ] A          d [6,6] the pixels under it, g [3,3] the kernel
//
// with 36 multiplications where the direct sum has 144. The points of interpolation are 0, ±5/8, ±3/2 and
// infinity: exact in binary, and with less than half the rounding error of 0, ±1, ±2 (measured in
// docs/cpu-performance.md; Barabasz et al., "Error Analysis and Improving the Accuracy of Winograd
// Convolution for Deep Neural Networks", 2020, on why).
//
// All work on rows of `channels` numbers, a multiple of kWinogradChannels; what is indexed by the 36 points
// lies `plane` elements apart. Compiled for several instruction sets, chosen at run time. X is the type of
// the pixels, float, double or bfloat16; the transforms and what they give are in Compute<X>.
#pragma once

#include <cstdint>

#include "tensor/dtype.h"

namespace dcl::tensor::cpu {

inline constexpr std::int64_t kWinogradOut = 4;      // side of a tile of the result
inline constexpr std::int64_t kWinogradIn = 6;       // side of the pixels under it
inline constexpr std::int64_t kWinogradPoints = 36;  // multiplications a tile
inline constexpr std::int64_t kWinogradChannels = 16;

/// How a tile of the result is stored; see Epilogue.
template <class X>
struct WinogradEnd {
  const Compute<X>* bias = nullptr;    // [channels], or none
  const X* const* residual = nullptr;  // of the 16 pixels, or none
  bool relu = false;
};

template <class X>
struct WinogradKernels {
  using T = Compute<X>;
  /// Bᵀ d B; `pixels` are the 36 of d, row by row.
  void (*input)(const X* const* pixels, std::int64_t channels, T* v, std::int64_t plane);
  /// act(Aᵀ m A + bias + residual) to the 16 `pixels`, rounded once.
  void (*output)(const T* m, std::int64_t plane, std::int64_t channels, const WinogradEnd<X>& end,
                 X* const* pixels);
  /// G g Gᵀ; `taps` are the 9 of g, which are rounded to X.
  void (*weight)(const T* const* taps, std::int64_t channels, T* u, std::int64_t plane);
  /// A d Aᵀ, the transpose of `output`; `pixels` are 16 of the result's gradient.
  void (*output_gradient)(const X* const* pixels, std::int64_t channels, T* v, std::int64_t plane);
  /// Gᵀ u G, the transpose of `weight`.
  void (*weight_gradient)(const T* u, std::int64_t plane, std::int64_t channels, T* const* taps);
};

template <class X>
const WinogradKernels<X>& winograd_kernels();

}  // namespace dcl::tensor::cpu
