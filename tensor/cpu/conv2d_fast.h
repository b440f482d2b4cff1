// The fast convolutions of the CPU: products of gathered rows (im2col.h), packed tile by tile into the cache
// and multiplied by microkernel.h. The bits of every result are the same for any number of threads.
#pragma once

#include "tensor/ops/conv2d.h"

namespace dcl::tensor::cpu {

// As the functions of the same names in tensor/ops/conv2d.h, on arrays whose sizes have been checked. Each
// overwrites all of its result. `bias` may be null. T is float or double.

template <class T>
void conv2d_fast(const Conv2dSizes& z, const T* x, const T* weight, const T* bias, T* y);
template <class T>
void conv2d_backward_input_fast(const Conv2dSizes& z, const T* dy, const T* weight, T* dx);
template <class T>
void conv2d_backward_weight_fast(const Conv2dSizes& z, const T* dy, const T* x, T* dweight);

}  // namespace dcl::tensor::cpu
