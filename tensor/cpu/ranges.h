// How work is cut: ranges, and how many of one size there are.
#pragma once

#include <cstdint>

namespace dcl::tensor::cpu {

/// From begin on, up to but without end.
struct Range {
  std::int64_t begin, end;
  std::int64_t size() const { return end - begin; }
};

/// ⌈a / b⌉ of a >= 0 and b > 0.
constexpr std::int64_t divide_up(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

/// Numbers of a matrix product's right operand that stay in a second-level cache of 512 KiB, as floats.
inline constexpr std::int64_t kRightOperand = 96 << 10;
/// Rows of a left operand up to so many bytes apart are multiplied where they lie; others fall on too few
/// cache sets (measured; a third faster at 56x56x64, a quarter slower at 14x14x1024).
inline constexpr std::int64_t kMaxBytesInPlace = 2048;

}  // namespace dcl::tensor::cpu
