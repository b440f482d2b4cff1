#include "tensor/io/safetensors_header.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
#include <unordered_set>

#include <nlohmann/json.hpp>
#include <zlib.h>

namespace dcl::tensor::io {

static_assert(std::endian::native == std::endian::little, "safetensors files are little endian");

namespace {

constexpr std::array kDTypes = {DType::float32, DType::float64, DType::bfloat16, DType::int64, DType::uint8};

// Takes the events of the JSON parser, so that nothing is built that the format does not know, duplicate keys
// are seen, and depth is bounded. Where it stands:
//   root { "name": entry { "dtype": "F32", "shape": [ … ], "data_offsets": [b, e] }, "__metadata__": { … } }
class HeaderParser final : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit HeaderParser(const std::string& source) : source_(source) {}

  Header take() { return std::move(header_); }

  bool null() override { unexpected("null"); }
  bool boolean(bool /*value*/) override { unexpected("a boolean"); }
  bool number_float(double /*value*/, const std::string& text) override { unexpected(text); }
  bool binary(nlohmann::json::binary_t& /*value*/) override { unexpected("binary data"); }
  bool number_integer(std::int64_t value) override { unexpected(std::to_string(value)); }  // negative

  bool number_unsigned(std::uint64_t value) override {
    if (place_ == Place::shape) {
      check(entry().sizes.size() < kMaxDims, "{}: tensor {} has more than {} dimensions", source_, name(),
            kMaxDims);
      check(value <= static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()),
            "{}: tensor {} has a size of {}", source_, name(), value);
      entry().sizes.push_back(static_cast<std::int64_t>(value));
    } else if (place_ == Place::offsets) {
      check(offsets_.size() < 2, "{}: data_offsets of tensor {} has more than 2 numbers", source_, name());
      offsets_.push_back(value);
    } else {
      unexpected(std::to_string(value));
    }
    return true;
  }

  bool string(std::string& value) override {
    if (place_ == Place::metadata) {
      check(header_.metadata.emplace(key_, value).second, "{}: {} is twice in {}", source_, printable(key_),
            kMetadataKey);
    } else if (place_ == Place::entry && key_ == "dtype") {
      const auto* found = std::find_if(kDTypes.begin(), kDTypes.end(),
                                       [&](DType dtype) { return format_name(dtype) == value; });
      check(found != kDTypes.end(), "{}: tensor {} is of type {}, expected F32, F64, BF16, I64 or U8",
            source_, name(), printable(value));
      entry().dtype = *found;
    } else {
      unexpected(printable(value));
    }
    return true;
  }

  bool key(std::string& value) override {
    if (place_ == Place::root) {
      check(!value.empty() && value.size() <= kMaxNameBytes,
            "{}: a tensor's name has {} bytes, expected 1 to {}", source_, value.size(), kMaxNameBytes);
      check(names_.insert(value).second, "{}: {} is twice in the header", source_, printable(value));
    } else if (place_ == Place::entry) {
      bool* seen = nullptr;
      if (value == "dtype") seen = &seen_.dtype;
      if (value == "shape") seen = &seen_.shape;
      if (value == "data_offsets") seen = &seen_.offsets;
      check(seen != nullptr, "{}: tensor {} has an unknown key {}", source_, name(), printable(value));
      check(!*seen, "{}: tensor {} has {} twice", source_, name(), value);
      *seen = true;
    }
    key_ = std::move(value);
    return true;
  }

  bool start_object(std::size_t /*elements*/) override {
    if (place_ == Place::before) {
      place_ = Place::root;
    } else if (place_ == Place::root && key_ == kMetadataKey) {
      place_ = Place::metadata;
    } else if (place_ == Place::root) {
      place_ = Place::entry;
      seen_ = {};
      header_.entries.emplace_back().name = key_;
    } else {
      unexpected("an object");
    }
    return true;
  }

  bool end_object() override {
    if (place_ == Place::entry)
      check(seen_.dtype && seen_.shape && seen_.offsets,
            "{}: tensor {} lacks one of dtype, shape, data_offsets", source_, name());
    place_ = place_ == Place::root ? Place::after : Place::root;
    return true;
  }

  bool start_array(std::size_t /*elements*/) override {
    if (place_ != Place::entry || key_ == "dtype") unexpected("an array");
    place_ = key_ == "shape" ? Place::shape : Place::offsets;
    offsets_.clear();
    return true;
  }

  bool end_array() override {
    if (place_ == Place::offsets) {
      check(offsets_.size() == 2, "{}: data_offsets of tensor {} has {} numbers, expected 2", source_, name(),
            offsets_.size());
      entry().begin = offsets_[0];
      entry().end = offsets_[1];
    }
    place_ = Place::entry;
    return true;
  }

  bool parse_error(std::size_t position, const std::string& /*token*/,
                   const nlohmann::json::exception& /*error*/) override {
    fail("{}: the header is not JSON (at its byte {})", source_, position);
  }

 private:
  enum class Place : std::uint8_t { before, root, metadata, entry, shape, offsets, after };

  HeaderEntry& entry() { return header_.entries.back(); }
  std::string name() { return printable(entry().name); }

  [[noreturn]] void unexpected(const std::string& what) {
    switch (place_) {
      case Place::entry:
      case Place::shape:
      case Place::offsets:
        fail("{}: tensor {} has {} in {}", source_, name(), what, key_);
      case Place::metadata:
        fail("{}: {} in {} is {}, expected a string", source_, printable(key_), kMetadataKey, what);
      case Place::root:
        fail("{}: {} is {}, expected an object", source_, printable(key_), what);
      default:
        fail("{}: the header is {}, expected an object", source_, what);
    }
  }

  std::string source_;
  Header header_;
  Place place_ = Place::before;
  std::string key_;
  std::unordered_set<std::string> names_;
  std::vector<std::uint64_t> offsets_;
  struct {
    bool dtype = false, shape = false, offsets = false;
  } seen_;
};

// The bytes that type and shape ask for are those that the offsets give.
void check_size(const HeaderEntry& entry, const std::string& source) {
  std::int64_t bytes = size_of(entry.dtype);
  for (const auto size : entry.sizes)
    check(!__builtin_mul_overflow(bytes, size, &bytes), "{}: the sizes of tensor {} overflow", source,
          printable(entry.name));
  check(entry.begin <= entry.end, "{}: tensor {} ends before it begins ([{},{}])", source,
        printable(entry.name), entry.begin, entry.end);
  check(entry.end - entry.begin == static_cast<std::uint64_t>(bytes),
        "{}: tensor {} needs {} bytes, data_offsets [{},{}] have {}", source, printable(entry.name), bytes,
        entry.begin, entry.end, entry.end - entry.begin);
}

// Every byte of the data belongs to exactly one tensor.
void check_layout(const std::vector<HeaderEntry>& entries, std::uint64_t data_bytes,
                  const std::string& source) {
  std::vector<const HeaderEntry*> order;
  order.reserve(entries.size());
  for (const auto& entry : entries) order.push_back(&entry);
  std::sort(order.begin(), order.end(), [](const HeaderEntry* a, const HeaderEntry* b) {
    return a->begin != b->begin ? a->begin < b->begin : a->end < b->end;
  });
  std::uint64_t at = 0;
  for (const HeaderEntry* entry : order) {
    check(entry->begin == at, "{}: tensor {} begins at byte {} of the data, the one before ends at {}",
          source, printable(entry->name), entry->begin, at);
    at = entry->end;
  }
  check(at == data_bytes, "{}: the tensors end at byte {} of the data, the file at {}", source, at,
        data_bytes);
}

}  // namespace

Header parse_header(std::string_view json, std::uint64_t data_bytes, const std::string& source) {
  check(!json.empty() && json.front() == '{', "{}: not a safetensors file: the header does not start with {{",
        source);
  // The parser would take a NUL for the end of the text.
  check(json.find('\0') == std::string_view::npos, "{}: the header has a NUL byte", source);
  HeaderParser parser(source);
  nlohmann::json::sax_parse(json.begin(), json.end(), &parser);
  Header header = parser.take();
  for (const auto& entry : header.entries) check_size(entry, source);
  check_layout(header.entries, data_bytes, source);
  return header;
}

std::string_view format_name(DType dtype) {
  switch (dtype) {
    case DType::float32:
      return "F32";
    case DType::float64:
      return "F64";
    case DType::bfloat16:
      return "BF16";
    case DType::int64:
      return "I64";
    case DType::uint8:
      return "U8";
  }
  fail("safetensors: unknown type {}", static_cast<int>(dtype));
}

std::string printable(std::string_view name) {
  constexpr std::size_t kShown = 80;
  std::string text(name.substr(0, kShown));
  for (char& c : text)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) c = '?';
  return "\"" + text + (name.size() > kShown ? "…\"" : "\"");
}

std::array<char, 8> length_bytes(std::uint64_t header_bytes) {
  return std::bit_cast<std::array<char, 8>>(header_bytes);
}

std::uint32_t crc32(const void* bytes, std::size_t count, std::uint32_t before) {
  return static_cast<std::uint32_t>(crc32_z(before, static_cast<const unsigned char*>(bytes), count));
}

std::string crc32_digits(std::uint32_t crc) { return fmt::format("{:08x}", crc); }

}  // namespace dcl::tensor::io
