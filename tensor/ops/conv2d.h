// Two-dimensional convolution (cross-correlation, as every framework of this field has it):
//
//   y[n,p,q,o] = bias[o] + sum_{r,s,c} x[n, p·stride + r·dilation − padding, q·stride + s·dilation − padding,
//                                        g·I/groups + c] · weight[o,r,s,c]        with g = o / (O/groups)
//
//   x [N,H,W,I], weight [O,kH,kW,I/groups], bias [O] or undefined, y [N,Ho,Wo,O];
//   Ho = (H + 2·padding − dilation·(kH − 1) − 1) / stride + 1, Wo likewise. What lies outside x is 0.
#pragma once

#include <cstdint>
#include <string>

#include "tensor/ops/channel_moments.h"
#include "tensor/tensor.h"

namespace dcl::tensor {

struct Conv2dParams {
  std::int64_t stride = 1;
  std::int64_t padding = 0;
  std::int64_t dilation = 1;
  std::int64_t groups = 1;
};

/// All sizes of one convolution, checked against each other.
struct Conv2dSizes {
  std::int64_t batch = 0;         // N
  std::int64_t in_h = 0;          // H
  std::int64_t in_w = 0;          // W
  std::int64_t in_channels = 0;   // I
  std::int64_t out_channels = 0;  // O
  std::int64_t kernel_h = 0;      // kH
  std::int64_t kernel_w = 0;      // kW
  std::int64_t out_h = 0;         // Ho
  std::int64_t out_w = 0;         // Wo
  Conv2dParams params;

  Shape out_shape() const { return {batch, out_h, out_w, out_channels}; }
  /// N·Ho·Wo, the rows of y as a matrix.
  std::int64_t out_rows() const { return batch * out_h * out_w; }
  /// I/groups and O/groups.
  std::int64_t group_in() const { return in_channels / params.groups; }
  std::int64_t group_out() const { return out_channels / params.groups; }
  /// Floating-point operations of the formula: of any of the three passes.
  double flop() const;
  /// "3x3 s2 56x56x128 -> 128", for profiles.
  std::string str() const;
};

/// Throws Error, naming both shapes, when a convolution of x with weight cannot be: wrong number of
/// dimensions, channels that do not match, groups that do not divide the channels, a stride or dilation below
/// 1, a negative padding, a kernel that is larger than the padded picture.
Conv2dSizes conv2d_sizes(const Shape& x, const Shape& weight, const Conv2dParams& params);

/// The sizes of each of the three passes below, after all that they check of their arguments.
Conv2dSizes check_conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias,
                         const Conv2dParams& params);
Conv2dSizes check_conv2d_backward_input(const Tensor& dy, const Tensor& weight, const Shape& x_shape,
                                        const Conv2dParams& params, const Tensor& sum);
Conv2dSizes check_conv2d_backward_weight(const Tensor& dy, const Tensor& x, const Shape& weight_shape,
                                         const Conv2dParams& params);

// float32 or float64, all tensors of one call of the same type; or bfloat16 x and y with float32 weight and
// bias: then operands are rounded to bfloat16 and sums are float32. Every function throws Error,
// naming the argument and the shapes, when they do not fit together (see conv2d_sizes). The gradient of the
// bias is the sum of dy over all but the last dimension (tensor/ops/reduce.h).

namespace cpu {
/// `moments`, where given, become y's as y is stored, or undefined where y is empty or the path that these
/// sizes take does not sum them (the plain one; docs/cpu-performance.md).
Tensor conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias, const Conv2dParams& params,
              ChannelMoments* moments = nullptr);
/// dx + sum, of shape `x_shape`, from dy of y's shape. Where nobody else holds the sum it is mostly added to
/// in its memory, before dx is rounded; else dx is computed, and then the sum of both. No sum: dx.
Tensor conv2d_backward_input(const Tensor& dy, const Tensor& weight, const Shape& x_shape,
                             const Conv2dParams& params, Tensor sum = {});
/// dweight, of shape `weight_shape`.
Tensor conv2d_backward_weight(const Tensor& dy, const Tensor& x, const Shape& weight_shape,
                              const Conv2dParams& params);
}  // namespace cpu

namespace cuda {
/// `moments`, where given, become undefined: batch_norm_act's own kernels sum them.
Tensor conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias, const Conv2dParams& params,
              ChannelMoments* moments = nullptr);
/// dx + sum, if there is one, which stays as it is.
Tensor conv2d_backward_input(const Tensor& dy, const Tensor& weight, const Shape& x_shape,
                             const Conv2dParams& params, const Tensor& sum = {});
Tensor conv2d_backward_weight(const Tensor& dy, const Tensor& x, const Shape& weight_shape,
                              const Conv2dParams& params);
}  // namespace cuda

}  // namespace dcl::tensor
