// Element types of a tensor, and the one switch from a run-time type to a C++ type.
#pragma once

#include <bit>
#include <cstdint>
#include <string_view>
#include <utility>

#include "tensor/check.h"
#include "tensor/host_device.h"

namespace dcl::tensor {

enum class DType : std::uint8_t { float32, float64, bfloat16, int64, uint8 };

/// The upper half of a float32: 8 bits of exponent, 7 of mantissa. Converts from float by round to nearest
/// even; NaN stays NaN.
struct bfloat16 {
  std::uint16_t bits = 0;

  bfloat16() = default;
  DCL_HOST_DEVICE explicit bfloat16(float value) : bits(round(value)) {}
  DCL_HOST_DEVICE constexpr explicit operator float() const {
    return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
  }

 private:
  // Without a branch, so that the compiler makes vectors of loops over it.
  DCL_HOST_DEVICE static std::uint16_t round(float value) {
    const auto u = std::bit_cast<std::uint32_t>(value);
    const std::uint32_t quiet = u | 0x400000U;
    const std::uint32_t nearest = u + 0x7FFFU + ((u >> 16) & 1U);
    return static_cast<std::uint16_t>(((u & 0x7FFFFFFFU) > 0x7F800000U ? quiet : nearest) >> 16);
  }
};

/// Bytes of one element.
constexpr std::int64_t size_of(DType type) {
  switch (type) {
    case DType::float32:
      return 4;
    case DType::float64:
    case DType::int64:
      return 8;
    case DType::bfloat16:
      return 2;
    case DType::uint8:
      return 1;
  }
  return 0;
}

constexpr std::string_view name_of(DType type) {
  switch (type) {
    case DType::float32:
      return "float32";
    case DType::float64:
      return "float64";
    case DType::bfloat16:
      return "bfloat16";
    case DType::int64:
      return "int64";
    case DType::uint8:
      return "uint8";
  }
  return "?";
}

constexpr bool is_floating(DType type) {
  return type == DType::float32 || type == DType::float64 || type == DType::bfloat16;
}

/// The type of the parameters and statistics of layers whose activations are of `type`: float32 beside
/// bfloat16.
constexpr DType parameter_dtype(DType type) { return type == DType::bfloat16 ? DType::float32 : type; }

template <class T>
struct dtype_of_impl;
template <>
struct dtype_of_impl<float> {
  static constexpr DType value = DType::float32;
};
template <>
struct dtype_of_impl<double> {
  static constexpr DType value = DType::float64;
};
template <>
struct dtype_of_impl<bfloat16> {
  static constexpr DType value = DType::bfloat16;
};
template <>
struct dtype_of_impl<std::int64_t> {
  static constexpr DType value = DType::int64;
};
template <>
struct dtype_of_impl<std::uint8_t> {
  static constexpr DType value = DType::uint8;
};

/// The DType that stores a C++ type: `dtype_of<float> == DType::float32`.
template <class T>
inline constexpr DType dtype_of = dtype_of_impl<T>::value;

/// Calls `f.template operator()<T>()` with T = float or double; throws, naming `op`, for any other type.
/// Usage: `dispatch_float(x.dtype(), "relu", [&]<class T>() { … });`
template <class F>
decltype(auto) dispatch_float(DType type, std::string_view op, F&& f) {
  switch (type) {
    case DType::float32:
      return f.template operator()<float>();
    case DType::float64:
      return f.template operator()<double>();
    default:
      fail("{}: expected float32 or float64, got {}", op, name_of(type));
  }
}

/// As dispatch_float, with bfloat16 too: for ops on activations.
template <class F>
decltype(auto) dispatch_activation(DType type, std::string_view op, F&& f) {
  if (type == DType::bfloat16) return f.template operator()<bfloat16>();
  check(is_floating(type), "{}: expected float32, float64 or bfloat16, got {}", op, name_of(type));
  return dispatch_float(type, op, std::forward<F>(f));
}

/// What ops on activations of type X compute in, and the type of the parameters beside them.
template <class X>
struct ComputeImpl {
  using Type = X;
};
template <>
struct ComputeImpl<bfloat16> {
  using Type = float;
};
template <class X>
using Compute = typename ComputeImpl<X>::Type;
template <class X>
constexpr Compute<X> widened(X x) {
  return static_cast<Compute<X>>(x);
}

/// As dispatch_float, for all five types.
template <class F>
decltype(auto) dispatch_any(DType type, std::string_view op, F&& f) {
  switch (type) {
    case DType::float32:
      return f.template operator()<float>();
    case DType::float64:
      return f.template operator()<double>();
    case DType::bfloat16:
      return f.template operator()<bfloat16>();
    case DType::int64:
      return f.template operator()<std::int64_t>();
    case DType::uint8:
      return f.template operator()<std::uint8_t>();
  }
  fail("{}: unknown type {}", op, static_cast<int>(type));
}

}  // namespace dcl::tensor
