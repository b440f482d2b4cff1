// The header of a safetensors file, taken apart and checked; shared by reader and writer, not for others.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tensor/io/safetensors.h"

namespace dcl::tensor::io {

inline constexpr std::uint64_t kMaxHeaderBytes = 100'000'000;  // as in the format's own library
inline constexpr std::size_t kMaxNameBytes = 4096;
inline constexpr std::size_t kMaxDims = 16;
inline constexpr std::string_view kMetadataKey = "__metadata__";
inline constexpr std::string_view kChecksumKey = "dcl.crc32";  // and kChecksumKey + ":NAME" for a tensor
inline constexpr std::string_view kNoChecksum = "00000000";

struct HeaderEntry {
  std::string name;
  DType dtype = DType::float32;
  std::vector<std::int64_t> sizes;
  std::uint64_t begin = 0;  // bytes, from the first byte after the header
  std::uint64_t end = 0;
};

struct Header {
  std::vector<HeaderEntry> entries;  // in the order of the file's header
  Metadata metadata;                 // checksums included
};

/// Parses the JSON text and checks it against the `data_bytes` that follow it in the file: every rule of the
/// format but the checksums. Throws Error, `SOURCE: …`.
Header parse_header(std::string_view json, std::uint64_t data_bytes, const std::string& source);

/// The format's name of a type: "F32".
std::string_view format_name(DType dtype);

/// A name as it may stand in a message: in quotes, cut at 80 bytes, without control characters.
std::string printable(std::string_view name);

/// The 8 bytes, little endian, that begin a file.
std::array<char, 8> length_bytes(std::uint64_t header_bytes);

/// CRC-32 of `bytes`, continuing from `before`.
std::uint32_t crc32(const void* bytes, std::size_t count, std::uint32_t before = 0);
std::string crc32_digits(std::uint32_t crc);

}  // namespace dcl::tensor::io
