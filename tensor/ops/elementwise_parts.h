// What the elementwise ops of both backends are made of: the functor of an op, the walk through operands that
// are stretched, the checks of a pair.
#pragma once

#include <array>
#include <vector>

#include "tensor/ops/elementwise.h"
#include "tensor/ops/elementwise_functors.h"

namespace dcl::tensor {

/// Calls f(functor) with the functor of `op`.
template <class F>
decltype(auto) with_functor(UnaryOp op, F&& f) {
  switch (op) {
    case UnaryOp::neg:
      return f(functors::Neg{});
    case UnaryOp::exp:
      return f(functors::Exp{});
    case UnaryOp::log:
      return f(functors::Log{});
    case UnaryOp::sqrt:
      return f(functors::Sqrt{});
    case UnaryOp::tanh:
      return f(functors::Tanh{});
    case UnaryOp::sigmoid:
      return f(functors::Sigmoid{});
    case UnaryOp::relu:
      return f(functors::Relu{});
  }
  fail("unary: unknown op {}", static_cast<int>(op));
}

template <class F>
decltype(auto) with_functor(BinaryOp op, F&& f) {
  switch (op) {
    case BinaryOp::add:
      return f(functors::Add{});
    case BinaryOp::sub:
      return f(functors::Sub{});
    case BinaryOp::mul:
      return f(functors::Mul{});
    case BinaryOp::div:
      return f(functors::Div{});
  }
  fail("binary: unknown op {}", static_cast<int>(op));
}

/// What of the output's shape matters for walking two operands through it: runs of dimensions along which the
/// same operands move, each run merged into one dimension, outermost first. There is at least one.
struct Walk {
  struct Run {
    std::int64_t size;
    std::array<bool, 2> moves;  // false: the operand is stretched along this run
  };
  std::vector<Run> runs;

  Walk(const Shape& out, const Shape& a, const Shape& b);

  const Run& inner() const { return runs.back(); }

  /// Where in each operand the row (all runs but the innermost) begins.
  std::array<std::int64_t, 2> offsets(std::int64_t row) const;
};

/// Throws, naming the op and the arguments, unless both are defined, of one type and on one device.
void check_pair(const char* op, const char* name_a, const Tensor& a, const char* name_b, const Tensor& b);

/// Throws unless x broadcasts to `shape`.
void check_expand(const Tensor& x, const Shape& shape);

}  // namespace dcl::tensor
