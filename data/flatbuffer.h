// Just enough of FlatBuffers (https://flatbuffers.dev/internals) to read Arrow's metadata: tables, scalars,
// vectors and unions, each access checked against the buffer.
#pragma once

#include <cstdint>
#include <cstring>
#include <optional>
#include <span>

#include "tensor/check.h"

namespace dcl::data {

class FlatBuffer {
 public:
  explicit FlatBuffer(std::span<const std::uint8_t> bytes) : bytes_(bytes) {}

  /// A little-endian number at `offset`.
  template <class T>
  T at(std::size_t offset) const {
    check(offset <= bytes_.size() && sizeof(T) <= bytes_.size() - offset, "metadata reaches beyond its end");
    T value;
    std::memcpy(&value, bytes_.data() + offset, sizeof(T));
    return value;
  }

  struct Table {
    std::size_t start = 0;
  };
  struct Vector {
    std::size_t start = 0;  // of the first element
    std::size_t count = 0;
  };

  Table root() const { return follow(0); }

  template <class T>
  T scalar(Table table, int field, T otherwise) const {
    const auto place = find(table, field);
    return place ? at<T>(*place) : otherwise;
  }
  std::optional<Table> table(Table from, int field) const {
    const auto place = find(from, field);
    return place ? std::optional(follow(*place)) : std::nullopt;
  }
  /// `width`: bytes an element; an absent vector is empty.
  Vector vector(Table from, int field, std::size_t width) const {
    const auto place = find(from, field);
    if (!place) return {};
    const Table start = follow(*place);
    const auto count = at<std::uint32_t>(start.start);
    check(count <= (bytes_.size() - start.start) / width, "metadata holds a vector beyond its end");
    return {start.start + 4, count};
  }
  Table element(Vector tables, std::size_t index) const { return follow(tables.start + 4 * index); }

 private:
  Table follow(std::size_t place) const { return {place + at<std::uint32_t>(place)}; }
  // Where a field of a table is, or nothing when it was left out.
  std::optional<std::size_t> find(Table table, int field) const {
    const auto back = at<std::int32_t>(table.start);
    const auto vtable = static_cast<std::int64_t>(table.start) - back;
    check(vtable >= 0, "metadata reaches beyond its start");
    const auto v = static_cast<std::size_t>(vtable);
    const std::size_t slot = 4 + 2 * static_cast<std::size_t>(field);
    if (slot + 2 > at<std::uint16_t>(v)) return std::nullopt;
    const auto offset = at<std::uint16_t>(v + slot);
    return offset == 0 ? std::nullopt : std::optional(table.start + offset);
  }

  std::span<const std::uint8_t> bytes_;
};

}  // namespace dcl::data
