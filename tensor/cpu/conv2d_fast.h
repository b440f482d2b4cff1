// The fast convolutions of the CPU: products of gathered rows (im2col.h), packed tile by tile into the cache
// and multiplied by microkernel.h. The bits of every result are the same for any number of threads.
#pragma once

#include <vector>

#include "tensor/cpu/epilogue.h"
#include "tensor/cpu/window_product.h"
#include "tensor/ops/conv2d.h"

namespace dcl::tensor::cpu {

// As the functions of the same names in tensor/ops/conv2d.h, on arrays whose sizes have been checked. Each
// overwrites all of its result, or with `add` adds to it. T is float or double.

template <class T>
void conv2d_fast(const Conv2dSizes& z, const T* x, const T* weight, const Epilogue<T>& end, T* y);
template <class T>
void conv2d_backward_input_fast(const Conv2dSizes& z, const T* dy, const T* weight, T* dx, bool add = false);
template <class T>
void conv2d_backward_weight_fast(const Conv2dSizes& z, const T* dy, const T* x, T* dweight);

/// The weight of a convolution [O,kH,kW,I/groups], packed once for pictures of any size: a matrix a group.
template <class T>
std::vector<PackedMatrix<T>> pack_weight(const Shape& shape, std::int64_t groups, const T* weight);
/// conv2d_fast with such a weight.
template <class T>
void conv2d_fast(const Conv2dSizes& z, const T* x, const std::vector<PackedMatrix<T>>& weight,
                 const Epilogue<T>& epilogue, T* y);

}  // namespace dcl::tensor::cpu
