#include "tensor/ops/elementwise.h"

#include "autograd/ops.h"

namespace dcl::autograd {

namespace {

using tensor::BinaryOp;
using tensor::UnaryOp;

Variable unary(UnaryOp op, const Variable& x) {
  check(x.defined(), "{}: x is undefined", name_of(op));
  Tensor y = DCL_ON_DEVICE(x.value().device(), unary(op, x.value()));
  const Tensor saved = saves_output(op) ? y : x.value();
  return record(name_of(op), y, {x}, [op, saved](const Tensor& grad_y, const Needs&) {
    return std::vector<Tensor>{DCL_ON_DEVICE(grad_y.device(), unary_backward(op, saved, grad_y))};
  });
}

Tensor binary_value(BinaryOp op, const Variable& a, const Variable& b) {
  check(a.defined(), "{}: a is undefined", name_of(op));
  check(b.defined(), "{}: b is undefined", name_of(op));
  return DCL_ON_DEVICE(a.value().device(), binary(op, a.value(), b.value()));
}

// mul and div, whose gradients depend on both operands.
Variable binary(BinaryOp op, const Variable& a, const Variable& b) {
  return record(name_of(op), binary_value(op, a, b), {a, b},
                [op, a = a.value(), b = b.value()](const Tensor& grad_y, const Needs& needs) {
                  std::vector<Tensor> grads(2);
                  if (needs[0]) grads[0] = DCL_ON_DEVICE(a.device(), binary_backward_a(op, a, b, grad_y));
                  if (needs[1]) grads[1] = DCL_ON_DEVICE(a.device(), binary_backward_b(op, a, b, grad_y));
                  return grads;
                });
}

}  // namespace

// add and sub save nothing; the engine sums the gradient down to the operands' shapes.
Variable add(const Variable& a, const Variable& b) {
  return record("add", binary_value(BinaryOp::add, a, b), {a, b},
                [](const Tensor& grad_y, const Needs&) { return std::vector<Tensor>{grad_y, grad_y}; });
}

Variable sub(const Variable& a, const Variable& b) {
  return record("sub", binary_value(BinaryOp::sub, a, b), {a, b},
                [](const Tensor& grad_y, const Needs& needs) {
                  std::vector<Tensor> grads{grad_y, {}};
                  if (needs[1]) grads[1] = DCL_ON_DEVICE(grad_y.device(), unary(UnaryOp::neg, grad_y));
                  return grads;
                });
}

Variable mul(const Variable& a, const Variable& b) { return binary(BinaryOp::mul, a, b); }
Variable div(const Variable& a, const Variable& b) { return binary(BinaryOp::div, a, b); }

Variable neg(const Variable& x) { return unary(UnaryOp::neg, x); }
Variable exp(const Variable& x) { return unary(UnaryOp::exp, x); }
Variable log(const Variable& x) { return unary(UnaryOp::log, x); }
Variable sqrt(const Variable& x) { return unary(UnaryOp::sqrt, x); }
Variable tanh(const Variable& x) { return unary(UnaryOp::tanh, x); }
Variable sigmoid(const Variable& x) { return unary(UnaryOp::sigmoid, x); }
Variable relu(const Variable& x) { return unary(UnaryOp::relu, x); }

}  // namespace dcl::autograd
