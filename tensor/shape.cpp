#include "tensor/shape.h"

#include <algorithm>

namespace dcl::tensor {

namespace {
void check_sizes(const Shape& shape) {
  std::int64_t n = 1;
  for (const auto size : shape) {
    check(size >= 0, "shape: negative size in {}", shape.str());
    check(!__builtin_mul_overflow(n, size, &n), "shape: the sizes of {} overflow", shape.str());
  }
}
}  // namespace

Shape::Shape(std::initializer_list<std::int64_t> sizes) : sizes_(sizes) { check_sizes(*this); }

Shape::Shape(std::vector<std::int64_t> sizes) : sizes_(std::move(sizes)) { check_sizes(*this); }

std::int64_t Shape::operator[](int i) const {
  const int at = i < 0 ? i + dim() : i;
  check(at >= 0 && at < dim(), "shape: dimension {} of {} does not exist", i, str());
  return sizes_[static_cast<std::size_t>(at)];
}

std::int64_t Shape::numel() const {
  std::int64_t n = 1;
  for (const auto size : sizes_) n *= size;
  return n;
}

std::string Shape::str() const {
  std::string text = "[";
  for (std::size_t i = 0; i < sizes_.size(); ++i) {
    if (i > 0) text += ',';
    text += std::to_string(sizes_[i]);
  }
  return text + "]";
}

Shape broadcast_shapes(const Shape& a, const Shape& b, const char* op) {
  const int dim = std::max(a.dim(), b.dim());
  std::vector<std::int64_t> out(static_cast<std::size_t>(dim));
  for (int i = 1; i <= dim; ++i) {
    const std::int64_t size_a = i <= a.dim() ? a[-i] : 1;
    const std::int64_t size_b = i <= b.dim() ? b[-i] : 1;
    check(size_a == size_b || size_a == 1 || size_b == 1, "{}: shapes {} and {} do not broadcast", op,
          a.str(), b.str());
    out[static_cast<std::size_t>(dim - i)] = size_a == 1 ? size_b : size_a;
  }
  return Shape(std::move(out));
}

}  // namespace dcl::tensor
