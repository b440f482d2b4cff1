// Convolutions by tiles of bfloat16 products (tile_kernel.h). The bits are the same for any number of
// threads.
//
// T is bfloat16, or float: then every number is split into three parts and six products are summed, which
// keeps float32's accuracy (split.h).
#pragma once

#include "tensor/ops/conv2d.h"

namespace dcl::tensor::cpu {

// As the functions of the same names in tensor/ops/conv2d.h, on arrays whose sizes have been checked. Each
// overwrites all of its result. Weights, their gradient and `bias`, which may be null, are float32.

template <class T>
void conv2d_tiles(const Conv2dSizes& z, const T* x, const float* weight, const float* bias, T* y);
template <class T>
void conv2d_backward_input_tiles(const Conv2dSizes& z, const T* dy, const float* weight, T* dx);
template <class T>
void conv2d_backward_weight_tiles(const Conv2dSizes& z, const T* dy, const T* x, float* dweight);

}  // namespace dcl::tensor::cpu
