// What a convolution does to its sums before it stores them, so that no sweep of its own has to.
#pragma once

#include <cstdint>

#include "tensor/cpu/moment_sums.h"
#include "tensor/dtype.h"

namespace dcl::tensor::cpu {

/// y = act(sum + bias + residual), act = ReLU when `relu`; NaN stays NaN. Where `moments` are given, y's are
/// added to them.
template <class T>
struct Epilogue {
  const Compute<T>* bias = nullptr;  // [O], or none
  const T* residual = nullptr;       // of y's shape, or none
  bool relu = false;
  MomentSums<Compute<T>>* moments = nullptr;  // or none
  std::int64_t first_channel = 0;             // of these sums, in `moments`

  /// That of the channels from `channel` on.
  Epilogue from(std::int64_t channel) const {
    return {bias == nullptr ? nullptr : bias + channel, residual == nullptr ? nullptr : residual + channel,
            relu, moments, first_channel + channel};
  }
};

}  // namespace dcl::tensor::cpu
