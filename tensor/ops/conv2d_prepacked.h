// A convolution whose weight no longer changes, with what follows it in a ResNet in evaluation mode:
//
//   y = act(conv2d(x, weight, bias) + residual)                   conv2d as in tensor/ops/conv2d.h
//
//   x [N,H,W,I], weight [O,kH,kW,I/groups], bias [O] or undefined, residual of y's shape [N,Ho,Wo,O] or
//   undefined; act = ReLU where asked for. One type a call, or bfloat16 x, residual and y with a float32
//   weight, which is rounded, and bias; all sums are in float32 then, and y is rounded once.
//
// The weight is brought into the order that the kernels read once, when a picture size first needs it, and
// the sum and the ReLU are part of the store: no sweep of their own.
#pragma once

#include <memory>

#include "tensor/ops/conv2d.h"

namespace dcl::tensor {

class PackedConv2d {
 public:
  /// Shares `weight` and `bias`, which must not change from here on. float32 or float64, in the processor's
  /// memory. x will be of their type, or with a float32 weight of `activations` bfloat16. Throws Error,
  /// naming the argument, when they do not fit together.
  PackedConv2d(const Tensor& weight, const Tensor& bias, const Conv2dParams& params);
  PackedConv2d(const Tensor& weight, const Tensor& bias, const Conv2dParams& params, DType activations);

  /// What follows the convolution.
  struct End {
    Tensor residual = {};
    bool relu = false;
  };
  /// y. Throws Error, naming the shapes, when x or the residual do not fit. May be called from several
  /// threads. The bits are the same for any number of threads.
  Tensor run(const Tensor& x, const End& end) const;
  /// The same into a given y, which must not share numbers with x or the residual.
  void run(const Tensor& x, const End& end, Tensor& y) const;

  /// [N,Ho,Wo,O] for an x of this shape.
  Shape out_shape(const Shape& x) const;

 private:
  class Forms;
  template <class T>
  class FormsOf;
  class Bfloat16Forms;

  Tensor weight_, bias_;
  Conv2dParams params_;
  DType activations_;
  std::shared_ptr<Forms> forms_;
};

}  // namespace dcl::tensor
