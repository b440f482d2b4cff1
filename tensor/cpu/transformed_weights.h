// The kernels of Winograd's convolution (winograd_kernels.h), transformed and laid out for the products.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

#include "tensor/cpu/winograd_tiles.h"
#include "tensor/tensor.h"

namespace dcl::tensor::cpu {

/// The sizes of the 36 matrices [depth,cols] of the transformed kernels, which lie as the microkernel reads
/// them, a panel [depth,width] of their columns at a time. T is their type, float or double.
template <class T>
class WinogradPanels {
 public:
  WinogradPanels(std::int64_t depth, std::int64_t cols);

  std::int64_t depth() const { return depth_; }
  std::int64_t cols() const { return cols_; }
  /// Columns of a panel, and how many panels there are.
  std::int64_t width() const { return width_; }
  std::int64_t panels() const { return (cols_ + width_ - 1) / width_; }
  /// Columns of a panel that are not there to fill it up.
  std::int64_t filled(std::int64_t panel) const { return std::min(width_, cols_ - panel * width_); }
  /// Elements from one of a panel's matrices to the next.
  std::int64_t plane() const { return winograd_plane<T>(depth_ * width_); }

 private:
  std::int64_t depth_, cols_, width_;
};

/// Transforms the kernels at `weight`, which it does not hold, in Compute<X>. X is the type of the pixels,
/// float, double or bfloat16, to which the kernels are rounded before they are transformed.
template <class X>
class WeightTransform {
 public:
  using T = Compute<X>;

  /// Of a convolution, from weight [cols,3,3,depth].
  static WeightTransform forward(std::int64_t depth, std::int64_t cols, const T* weight);
  /// Of its input gradient, from the same weight, now [depth,3,3,cols]: the taps run backwards.
  static WeightTransform backward(std::int64_t depth, std::int64_t cols, const T* weight);

  const WinogradPanels<T>& sizes() const { return sizes_; }
  /// Writes the 36 matrices of a panel to `out` [36,plane]. Columns that fill the panel up are left as they
  /// are.
  void transform(std::int64_t panel, T* out) const;

 private:
  static constexpr std::int64_t kTaps = 9;
  static constexpr std::int64_t kLines = kWinogradChannels;  // of `depth`, turned at a time

  WeightTransform(std::int64_t depth, std::int64_t cols, const T* weight, bool backwards);
  const T* place(std::int64_t panel, std::int64_t p, std::int64_t k) const;
  void turn(std::int64_t panel, std::int64_t p, T* turned) const;

  WinogradPanels<T> sizes_;
  const T* weight_;
  bool backwards_;
};

/// All of them.
template <class X>
class TransformedWeights {
 public:
  using T = Compute<X>;

  explicit TransformedWeights(const WeightTransform<X>& transform);

  const WinogradPanels<T>& sizes() const { return sizes_; }
  /// The 36 matrices of a panel, sizes().plane() elements apart.
  const T* panel(std::int64_t panel) const { return values_ + panel * kWinogradPoints * sizes_.plane(); }

 private:
  WinogradPanels<T> sizes_;
  Tensor storage_;
  T* values_;
};

}  // namespace dcl::tensor::cpu
