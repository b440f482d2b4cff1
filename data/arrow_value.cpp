#include "data/arrow_value.h"

#include <algorithm>

#include "data/flatbuffer.h"
#include "tensor/check.h"

namespace dcl::data {

namespace {

using Bytes = std::span<const std::uint8_t>;

// Arrow's numbers for the types (Schema.fbs, union Type).
enum : std::uint8_t { kNull = 1, kInt = 2, kBinary = 4, kText = 5, kBool = 6, kListType = 12, kUnion = 14 };
enum : std::uint8_t { kSchemaMessage = 1, kBatchMessage = 3 };
constexpr int kDeepest = 2 * 8;  // a list of a union of a list …
constexpr std::size_t kMostChildren = 64;

// One column with its children, in the order in which a record batch lays out their buffers.
struct Column {
  std::uint8_t type = kNull;
  int width = 64;                      // bits of an integer
  std::vector<std::int32_t> type_ids;  // of a union's children
  std::vector<Column> children;
  std::int64_t length = 0;
  Bytes validity, first, second;  // type ids and offsets; offsets and data; values
};

template <class T>
T number_at(Bytes buffer, std::int64_t index) {
  check(index >= 0 && static_cast<std::uint64_t>(index) < buffer.size() / sizeof(T),
        "an index outside its buffer");
  T value;
  std::memcpy(&value, buffer.data() + static_cast<std::size_t>(index) * sizeof(T), sizeof(T));
  return value;
}

class Stream {
 public:
  explicit Stream(Bytes input) : rest_(input) {}

  struct Message {
    FlatBuffer buffer;
    FlatBuffer::Table header;
    std::uint8_t kind;
    std::int16_t version;
    Bytes body;
  };

  Message next() {
    auto size = take_number();
    if (size == 0xFFFFFFFF) size = take_number();  // a marker, since Arrow 0.15
    const FlatBuffer buffer(take(size));
    const auto root = buffer.root();
    const auto header = buffer.table(root, 2);
    check(header.has_value(), "a message without a header");
    const auto body = buffer.scalar<std::int64_t>(root, 3, 0);
    check(body >= 0, "a body of {} bytes", body);
    return {buffer, *header, buffer.scalar<std::uint8_t>(root, 1, 0), buffer.scalar<std::int16_t>(root, 0, 0),
            take(static_cast<std::uint64_t>(body))};
  }

  std::uint32_t take_number() {
    const Bytes four = take(4);
    std::uint32_t value = 0;
    std::memcpy(&value, four.data(), 4);
    return value;
  }

 private:
  Bytes take(std::uint64_t count) {
    check(count <= rest_.size(), "cut off");
    const Bytes taken = rest_.first(count);
    rest_ = rest_.subspan(count);
    return taken;
  }

  Bytes rest_;
};

Column read_field(const FlatBuffer& schema, FlatBuffer::Table field, int depth) {
  check(depth < kDeepest, "nested too deep");
  Column column;
  column.type = schema.scalar<std::uint8_t>(field, 2, 0);
  const auto type = schema.table(field, 3);
  if (column.type == kInt && type) column.width = schema.scalar<std::int32_t>(*type, 0, 0);
  const auto children = schema.vector(field, 5, 4);
  check(children.count <= kMostChildren, "{} columns", children.count);
  for (std::size_t i = 0; i < children.count; ++i)
    column.children.push_back(read_field(schema, schema.element(children, i), depth + 1));
  if (column.type != kUnion) return column;
  check(type && schema.scalar<std::int16_t>(*type, 0, 0) == 1, "a sparse union");
  const auto ids = schema.vector(*type, 1, 4);
  for (std::size_t i = 0; i < children.count; ++i)
    column.type_ids.push_back(i < ids.count ? schema.at<std::int32_t>(ids.start + 4 * i)
                                            : static_cast<int>(i));
  return column;
}

// Gives the columns their buffers, in depth-first order.
class Batch {
 public:
  explicit Batch(const Stream::Message& message)
      : message_(message),
        nodes_(message.buffer.vector(message.header, 1, 16)),
        buffers_(message.buffer.vector(message.header, 2, 16)) {}

  void fill(Column& column) {
    column.length = next_length();
    switch (column.type) {
      case kNull:
        break;
      case kBinary:
      case kText:
        column.validity = next_buffer();
        column.first = next_buffer();
        column.second = next_buffer();
        break;
      case kInt:
      case kBool:
      case kListType:
        column.validity = next_buffer();
        column.first = next_buffer();
        break;
      case kUnion:
        if (message_.version < 4) column.validity = next_buffer();  // gone since metadata version 5
        column.first = next_buffer();
        column.second = next_buffer();
        break;
      default:
        fail("a value of Arrow type {}", column.type);
    }
    for (auto& child : column.children) fill(child);
  }

 private:
  std::int64_t next_length() {
    check(node_ < nodes_.count, "too few columns");
    return message_.buffer.at<std::int64_t>(nodes_.start + 16 * node_++);
  }
  Bytes next_buffer() {
    check(buffer_ < buffers_.count, "too few buffers");
    const std::size_t at = buffers_.start + 16 * buffer_++;
    const auto offset = message_.buffer.at<std::uint64_t>(at);
    const auto length = message_.buffer.at<std::uint64_t>(at + 8);
    check(offset <= message_.body.size() && length <= message_.body.size() - offset,
          "a buffer beyond the end");
    return message_.body.subspan(offset, length);
  }

  const Stream::Message& message_;
  FlatBuffer::Vector nodes_;
  FlatBuffer::Vector buffers_;
  std::size_t node_ = 0;
  std::size_t buffer_ = 0;
};

constexpr std::int64_t kMostValues = 1 << 22;

// Takes values out of filled columns; unions may point to the same one many times, so they are counted.
class Values {
 public:
  ArrowValue integer_at(const Column& column, std::int64_t row) {
    switch (column.width) {
      case 8:
        return {std::int64_t{number_at<std::int8_t>(column.first, row)}};
      case 16:
        return {std::int64_t{number_at<std::int16_t>(column.first, row)}};
      case 32:
        return {std::int64_t{number_at<std::int32_t>(column.first, row)}};
      case 64:
        return {number_at<std::int64_t>(column.first, row)};
      default:
        fail("an integer of {} bits", column.width);
    }
  }

  // [begin, end) of element `row` in what a column of lists or bytes holds.
  std::pair<std::int64_t, std::int64_t> extent_at(const Column& column, std::int64_t row, std::int64_t size) {
    const auto begin = number_at<std::int32_t>(column.first, row);
    const auto end = number_at<std::int32_t>(column.first, row + 1);
    check(begin >= 0 && begin <= end && end <= size, "offsets outside their buffer");
    return {begin, end};
  }

  ArrowValue list_at(const Column& column, std::int64_t row, int depth) {
    check(column.children.size() == 1, "a list of {} columns", column.children.size());
    const Column& child = column.children.front();
    const auto [begin, end] = extent_at(column, row, child.length);
    ArrowList list;
    for (std::int64_t i = begin; i < end; ++i) list.push_back(value_at(child, i, depth + 1));
    return {std::move(list)};
  }

  ArrowValue union_at(const Column& column, std::int64_t row, int depth) {
    const auto id = number_at<std::int8_t>(column.first, row);
    const auto found = std::ranges::find(column.type_ids, id);
    check(found != column.type_ids.end(), "a value of no column");
    const auto child = static_cast<std::size_t>(found - column.type_ids.begin());
    return value_at(column.children[child], number_at<std::int32_t>(column.second, row), depth + 1);
  }

  ArrowValue value_at(const Column& column, std::int64_t row, int depth) {
    check(depth < kDeepest, "nested too deep");
    check(--left_ >= 0, "more than {} values", kMostValues);
    check(row >= 0 && row < column.length, "a row that is not there");
    switch (column.type) {
      case kBinary:
      case kText: {
        const auto [begin, end] = extent_at(column, row, static_cast<std::int64_t>(column.second.size()));
        return {
            column.second.subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(end - begin))};
      }
      case kInt:
        return integer_at(column, row);
      case kBool:
        return {std::int64_t{(number_at<std::uint8_t>(column.first, row / 8) >> (row % 8)) & 1}};
      case kListType:
        return list_at(column, row, depth);
      case kUnion:
        return union_at(column, row, depth);
      default:
        return {};
    }
  }

 private:
  std::int64_t left_ = kMostValues;
};

// Before the stream stand counts of attached tensors, sparse tensors, arrays and buffers; none of ours has
// any.
constexpr int kCounts = 4;

ArrowValue parse(Bytes input) {
  Stream stream(input);
  for (int i = 0; i < kCounts; ++i) check(stream.take_number() == 0, "it has tensors attached");
  const auto schema = stream.next();
  check(schema.kind == kSchemaMessage, "no schema");
  const auto fields = schema.buffer.vector(schema.header, 1, 4);
  check(fields.count == 1, "{} columns, expected one", fields.count);
  Column column = read_field(schema.buffer, schema.buffer.element(fields, 0), 0);
  const auto message = stream.next();
  check(message.kind == kBatchMessage, "no record batch");
  Batch(message).fill(column);
  check(column.length == 1, "{} rows, expected one", column.length);
  return Values().value_at(column, 0, 0);
}

}  // namespace

ArrowValue parse_arrow_value(Bytes input, const std::string& source) {
  try {
    return parse(input);
  } catch (const Error& error) {
    fail("{}: not a value as pyarrow wrote it: {}", source, error.what());
  }
}

}  // namespace dcl::data
