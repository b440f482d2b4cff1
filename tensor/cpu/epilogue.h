// What a convolution does to its sums before it stores them, so that no sweep of its own has to.
#pragma once

namespace dcl::tensor::cpu {

/// y = act(sum + bias + residual), act = ReLU when `relu`; NaN stays NaN.
template <class T>
struct Epilogue {
  const T* bias = nullptr;      // [O], or none
  const T* residual = nullptr;  // of y's shape, or none
  bool relu = false;
};

}  // namespace dcl::tensor::cpu
