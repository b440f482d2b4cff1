#include "tensor/ops/elementwise.h"

#include "tensor/ops/elementwise_parts.h"

namespace dcl::tensor {

const char* name_of(UnaryOp op) {
  constexpr std::array names{"neg", "exp", "log", "sqrt", "tanh", "sigmoid", "relu"};
  return names.at(static_cast<std::size_t>(op));
}

const char* name_of(BinaryOp op) {
  constexpr std::array names{"add", "sub", "mul", "div"};
  return names.at(static_cast<std::size_t>(op));
}

bool saves_output(UnaryOp op) {
  return with_functor(op, [](auto functor) { return decltype(functor)::saves_output; });
}

Walk::Walk(const Shape& out, const Shape& a, const Shape& b) {
  for (int i = out.dim(); i >= 1; --i) {
    if (out[-i] == 1) continue;
    const std::array<bool, 2> moves{i <= a.dim() && a[-i] != 1, i <= b.dim() && b[-i] != 1};
    if (!runs.empty() && runs.back().moves == moves)
      runs.back().size *= out[-i];
    else
      runs.push_back({out[-i], moves});
  }
  if (runs.empty()) runs.push_back({1, {true, true}});
}

std::array<std::int64_t, 2> Walk::offsets(std::int64_t row) const {
  std::array<std::int64_t, 2> offset{0, 0};
  std::array<std::int64_t, 2> stride{inner().moves[0] ? inner().size : 1,
                                     inner().moves[1] ? inner().size : 1};
  for (auto run = runs.rbegin() + 1; run != runs.rend(); ++run) {
    const std::int64_t index = row % run->size;
    row /= run->size;
    for (std::size_t k = 0; k < 2; ++k) {
      if (!run->moves[k]) continue;
      offset[k] += index * stride[k];
      stride[k] *= run->size;
    }
  }
  return offset;
}

void check_pair(const char* op, const char* name_a, const Tensor& a, const char* name_b, const Tensor& b) {
  check(a.defined(), "{}: {} is undefined", op, name_a);
  check(b.defined(), "{}: {} is undefined", op, name_b);
  check(a.dtype() == b.dtype(), "{}: {} is {}, {} is {}; the types must be equal", op, name_a, a.str(),
        name_b, b.str());
  check(a.device() == b.device(), "{}: {} is on {}, {} on {}", op, name_a, a.device().str(), name_b,
        b.device().str());
}

void check_expand(const Tensor& x, const Shape& shape) {
  check(x.defined(), "expand: x is undefined");
  check(broadcast_shapes(x.shape(), shape, "expand") == shape, "expand: {} does not broadcast to {}",
        x.shape().str(), shape.str());
}

}  // namespace dcl::tensor
