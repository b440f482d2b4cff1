// The inner loops of max_pool2d, compiled for several instruction sets; the best one for this processor is
// chosen at run time.
#pragma once

#include <cstdint>

#include "tensor/ops/max_pool2d_windows.h"

namespace dcl::tensor::cpu {

template <class T>
struct MaxPool2dKernels {
  /// Row p of one picture's output. x [H,W,C], y and tap [Wo,C].
  void (*forward_row)(const MaxPool2dSizes& sizes, const T* x, std::int64_t p, T* y, std::uint8_t* tap);
  /// Row h of the gradient of one picture. grad_y, tap [Ho,Wo,C], grad_x [W,C].
  void (*backward_row)(const MaxPool2dSizes& sizes, const T* grad_y, const std::uint8_t* tap, std::int64_t h,
                       T* grad_x);
};

/// T is float, double or bfloat16.
template <class T>
const MaxPool2dKernels<T>& max_pool2d_kernels();

}  // namespace dcl::tensor::cpu
