// 3×3 convolutions of stride 1 by Winograd's F(4×4, 3×3) (winograd_kernels.h): a quarter of the direct sum's
// multiplications, less where the picture's side is no multiple of 4.
//
// What is infinite or no number in a pixel makes all 16 results of each tile that reads it no numbers.
//
// Rounding: in float32 the root-mean-square error is two to five times that of a plain float32 product of the
// same sums (tests/ops/winograd_test.cpp holds it below eight). The bits are the same for any number of
// threads.
#pragma once

#include "tensor/cpu/epilogue.h"
#include "tensor/cpu/transformed_weights.h"
#include "tensor/ops/conv2d.h"

namespace dcl::tensor::cpu {

/// True for 3×3 kernels, stride and dilation 1, one group, padding of at most 2, and channels that are
/// multiples of 16: what the functions below compute.
bool winograd_fits(const Conv2dSizes& z);
/// The multiplications that it takes, over those of the direct sum with pixels inside the picture.
double winograd_share(const Conv2dSizes& z);
/// True where, besides, there are enough channels and the share is at most so much: from 0.6 down it is
/// faster than direct products of the same rate.
bool winograd_pays(const Conv2dSizes& z, double most_share = 0.6);

// As the functions of the same names in tensor/ops/conv2d.h, on arrays whose sizes have been checked. Each
// overwrites all of its result, or with `add` adds to it. X is float, double or bfloat16; then products are
// of float32, what comes out is rounded once, and weights are rounded to bfloat16 before they are
// transformed.

template <class X>
void conv2d_winograd(const Conv2dSizes& z, const X* x, const Compute<X>* weight, const Epilogue<X>& end,
                     X* y);
template <class X>
void conv2d_backward_input_winograd(const Conv2dSizes& z, const X* dy, const Compute<X>* weight, X* dx,
                                    bool add = false);
template <class X>
void conv2d_backward_weight_winograd(const Conv2dSizes& z, const X* dy, const X* x, Compute<X>* dweight);

/// conv2d_winograd with kernels that have been transformed before.
template <class X>
void conv2d_winograd(const Conv2dSizes& z, const X* x, const TransformedWeights<X>& weight,
                     const Epilogue<X>& end, X* y);

}  // namespace dcl::tensor::cpu
