// What a convolution does to its sums before it stores them, so that no sweep of its own has to.
#pragma once

#include <cstdint>

#include "tensor/dtype.h"

namespace dcl::tensor::cpu {

/// y = act(sum + bias + residual), act = ReLU when `relu`; NaN stays NaN.
template <class T>
struct Epilogue {
  const Compute<T>* bias = nullptr;  // [O], or none
  const T* residual = nullptr;       // of y's shape, or none
  bool relu = false;

  /// That of the channels from `channel` on.
  Epilogue from(std::int64_t channel) const {
    return {bias == nullptr ? nullptr : bias + channel, residual == nullptr ? nullptr : residual + channel,
            relu};
  }
};

}  // namespace dcl::tensor::cpu
