// The sizes of a tensor, outermost first. Tensors are contiguous, so there are no strides.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <vector>

#include "tensor/check.h"

namespace dcl::tensor {

class Shape {
 public:
  Shape() = default;
  /// Throws for a negative size, and where the number of elements overflows.
  Shape(std::initializer_list<std::int64_t> sizes);
  explicit Shape(std::vector<std::int64_t> sizes);

  /// Number of dimensions; 0 for a scalar.
  int dim() const { return static_cast<int>(sizes_.size()); }
  /// Size of dimension `i`; negative counts from the end. Throws when out of range.
  std::int64_t operator[](int i) const;
  /// Product of all sizes; 1 for a scalar.
  std::int64_t numel() const;
  const std::vector<std::int64_t>& sizes() const { return sizes_; }
  auto begin() const { return sizes_.begin(); }
  auto end() const { return sizes_.end(); }
  /// "[8,224,224,3]"
  std::string str() const;

  bool operator==(const Shape&) const = default;

 private:
  std::vector<std::int64_t> sizes_;
};

/// The shape two operands broadcast to (sizes aligned at the right; 1 stretches). Throws, naming `op` and
/// both shapes, where they do not fit.
Shape broadcast_shapes(const Shape& a, const Shape& b, const char* op);

}  // namespace dcl::tensor
