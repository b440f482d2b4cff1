// Values that pyarrow.serialize (removed from pyarrow in version 15) has written, read without pyarrow: the
// authors' LMDB scripts pass every value through it.
//
// The format is an Arrow IPC stream (https://arrow.apache.org/docs/format/Columnar.html): a schema message
// and a record batch of one row, both FlatBuffers, and the columns' buffers. A Python value is a dense union
// of the types that were met: None, bool, int, bytes, str, list and tuple.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <variant>
#include <vector>

namespace dcl::data {

struct ArrowValue;
using ArrowList = std::vector<ArrowValue>;

/// None, an integer (bools are 0 and 1), bytes (of str too; a view into the input), or a list.
struct ArrowValue {
  std::variant<std::monostate, std::int64_t, std::span<const std::uint8_t>, ArrowList> value;

  /// Null where it is of another type.
  const std::int64_t* integer() const { return std::get_if<std::int64_t>(&value); }
  const std::span<const std::uint8_t>* bytes() const {
    return std::get_if<std::span<const std::uint8_t>>(&value);
  }
  const ArrowList* list() const { return std::get_if<ArrowList>(&value); }
};

/// Throws Error "SOURCE: reason" for anything else: every offset is checked against the input's size, and
/// lists nest at most eight deep.
ArrowValue parse_arrow_value(std::span<const std::uint8_t> input, const std::string& source);

}  // namespace dcl::data
