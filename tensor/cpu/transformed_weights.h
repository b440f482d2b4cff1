// The kernels of Winograd's convolution (winograd_kernels.h), transformed and laid out for the products.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

#include "tensor/cpu/winograd_kernels.h"
#include "tensor/tensor.h"

namespace dcl::tensor::cpu {

/// 36 matrices [depth,cols] as the microkernel reads them: for each panel of its columns the 36 [depth,width]
/// one behind the other. T is float or double.
template <class T>
class TransformedWeights {
 public:
  /// Of a convolution, from weight [cols,3,3,depth].
  static TransformedWeights forward(std::int64_t depth, std::int64_t cols, const T* weight);
  /// Of its input gradient, from the same weight, now [depth,3,3,cols]: the taps run backwards.
  static TransformedWeights backward(std::int64_t depth, std::int64_t cols, const T* weight);

  std::int64_t depth() const { return depth_; }
  std::int64_t cols() const { return cols_; }
  /// Columns of a panel, and how many panels there are.
  std::int64_t width() const { return width_; }
  std::int64_t panels() const { return (cols_ + width_ - 1) / width_; }
  /// Columns of a panel that are not there to fill it up.
  std::int64_t filled(std::int64_t panel) const { return std::min(width_, cols_ - panel * width_); }
  const T* matrix(std::int64_t panel, std::int64_t point) const {
    return values_ + (panel * kWinogradPoints + point) * depth_ * width_;
  }

 private:
  static constexpr std::int64_t kTaps = 9;

  TransformedWeights(std::int64_t depth, std::int64_t cols);
  static std::array<const T*, kTaps> taps_of(const T* kernel, std::int64_t distance, bool backwards);
  void transform(std::int64_t panel, std::int64_t p, const std::array<const T*, kTaps>& taps);

  std::int64_t depth_, cols_, width_;
  Tensor storage_;
  T* values_;
};

}  // namespace dcl::tensor::cpu
