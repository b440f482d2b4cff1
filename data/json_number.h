// Whole numbers in JSON text that may come from elsewhere.
#pragma once

#include <concepts>
#include <cstdint>
#include <limits>
#include <utility>

#include "tensor/check.h"

namespace dcl::data {

/// The number that `value`, an nlohmann::json, is. Throws Error for what is no whole number or none that T
/// can hold; the library's own get<T>() would cut, wrap or, beyond all integers, do anything.
template <std::integral T, class Json>
T whole_number(const Json& value) {
  if (value.is_number_unsigned() && std::in_range<T>(value.template get<std::uint64_t>()))
    return static_cast<T>(value.template get<std::uint64_t>());
  const bool is_signed = value.is_number_integer() && !value.is_number_unsigned();
  if (is_signed && std::in_range<T>(value.template get<std::int64_t>()))
    return static_cast<T>(value.template get<std::int64_t>());
  // Numbers as they stand; of the rest the kind: dump() calls itself for what is nested, and text has no end.
  fail("{} is no whole number from {} to {}", value.is_number() ? value.dump() : value.type_name(),
       std::numeric_limits<T>::min(), std::numeric_limits<T>::max());
}

}  // namespace dcl::data
