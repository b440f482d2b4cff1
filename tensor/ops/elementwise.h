// Elementwise operations on float32 and float64.
//
//   unary:   y[i] = f(x[i])          f = neg, exp, log, sqrt, tanh, sigmoid, relu
//   binary:  y[i] = f(a[i], b[i])    f = +, -, *, /; sizes are aligned at the right and a size of 1 stretches
//
// Values and gradients are written side by side in elementwise_functors.h. All functions throw, naming the
// op, for undefined tensors, types other than float32 and float64, operands of two types or devices, and
// shapes that do not broadcast.
#pragma once

#include "tensor/tensor.h"

namespace dcl::tensor {

enum class UnaryOp : std::uint8_t { neg, exp, log, sqrt, tanh, sigmoid, relu };
enum class BinaryOp : std::uint8_t { add, sub, mul, div };

const char* name_of(UnaryOp op);
const char* name_of(BinaryOp op);
/// Whether unary_backward wants the op's result (true) or its argument.
bool saves_output(UnaryOp op);

namespace cpu {

Tensor unary(UnaryOp op, const Tensor& x);
/// dL/dx from dL/dy; `saved` is y or x, as saves_output says.
Tensor unary_backward(UnaryOp op, const Tensor& saved, const Tensor& grad_y);

Tensor binary(BinaryOp op, const Tensor& a, const Tensor& b);
/// dL/da before it is summed over the dimensions along which a was stretched: shaped like y.
Tensor binary_backward_a(BinaryOp op, const Tensor& a, const Tensor& b, const Tensor& grad_y);
/// The same for b.
Tensor binary_backward_b(BinaryOp op, const Tensor& a, const Tensor& b, const Tensor& grad_y);

Tensor add(const Tensor& a, const Tensor& b);
Tensor sub(const Tensor& a, const Tensor& b);
Tensor mul(const Tensor& a, const Tensor& b);
Tensor div(const Tensor& a, const Tensor& b);

/// a += b; the shapes must be equal.
void add_inplace(Tensor& a, const Tensor& b);
/// factor · x. For numbers that change from step to step use mul with a [1]-shaped tensor.
Tensor scale(const Tensor& x, double factor);
/// x copied out to `shape`, to which it must broadcast.
Tensor expand(const Tensor& x, const Shape& shape);

}  // namespace cpu

namespace cuda {

Tensor unary(UnaryOp op, const Tensor& x);
Tensor unary_backward(UnaryOp op, const Tensor& saved, const Tensor& grad_y);
Tensor binary(BinaryOp op, const Tensor& a, const Tensor& b);
Tensor binary_backward_a(BinaryOp op, const Tensor& a, const Tensor& b, const Tensor& grad_y);
Tensor binary_backward_b(BinaryOp op, const Tensor& a, const Tensor& b, const Tensor& grad_y);
Tensor add(const Tensor& a, const Tensor& b);
Tensor sub(const Tensor& a, const Tensor& b);
Tensor mul(const Tensor& a, const Tensor& b);
Tensor div(const Tensor& a, const Tensor& b);
void add_inplace(Tensor& a, const Tensor& b);
Tensor scale(const Tensor& x, double factor);
Tensor expand(const Tensor& x, const Shape& shape);

}  // namespace cuda
}  // namespace dcl::tensor
