// safetensors files: named tensors and a string map, with nothing in them that could run.
//
//   u64 N, little endian | N bytes of JSON, padded with spaces | the numbers, little endian, without gaps
//   {"__metadata__":{"key":"value"},"name":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}, …}
//
// https://github.com/huggingface/safetensors, section "Format". Types here: F32, F64, BF16, I64, U8.
//
// Checksums (CRC-32 as in zlib and PNG, 8 lower-case hex digits) live in __metadata__, so that every other
// reader of the format passes over them: "dcl.crc32:NAME" is that of tensor NAME's bytes, and "dcl.crc32"
// that of everything before the numbers (the 8 bytes of N included), taken with its own 8 digits as '0'. The
// writer always writes them; the reader verifies them, and a file that has one has to have them all.
#pragma once

#include <cstddef>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tensor/tensor.h"

namespace dcl::tensor::io {

struct NamedTensor {
  std::string name;
  Tensor tensor;
};

using Metadata = std::map<std::string, std::string>;

/// What a file holds, the tensors in the order of its header. Checksums are not shown in `metadata`.
struct Safetensors {
  std::string source;  // the file's name, for messages
  std::vector<NamedTensor> tensors;
  Metadata metadata;

  /// Null when there is none of that name.
  const Tensor* find(std::string_view name) const;
  /// Throws, naming the file, when there is none of that name.
  const Tensor& at(std::string_view name) const;
};

/// An Error of the operating system's: `code()` is its errno (ENOSPC when the disk is full).
class SystemError : public Error {
 public:
  SystemError(const std::string& message, int code) : Error(message), code_(code) {}
  int code() const { return code_; }

 private:
  int code_;
};

/// Reads a whole file. Weights files are hostile input: throws Error with one line, `PATH: what is wrong`,
/// for a file that is not well formed to the last byte: a header over 100 MB, nested too deep, with duplicate
/// or unknown keys; an unknown type; a size that overflows; numbers that overlap, leave gaps or do not end
/// where the file ends; a checksum that does not hold. Never allocates more than about the file's own size.
/// Throws SystemError when the file cannot be read.
Safetensors read_safetensors(const std::string& path);

/// The same from memory; `source` stands for the file's name in messages.
Safetensors parse_safetensors(std::span<const std::byte> bytes, const std::string& source);

/// Writes the tensors, under unique names, in the order given: the same tensors and metadata give the same
/// bytes. (The numbers of wider types come first, so that each tensor is aligned to its type.) Throws Error
/// for a name that is empty, used twice or not UTF-8, SystemError for a write that fails or stays short.
/// Writes at the descriptor's position and neither syncs nor closes it: atomic replacement is the caller's.
/// `path` is only named in messages.
void write_safetensors(int descriptor, const std::string& path, std::span<const NamedTensor> tensors,
                       const Metadata& metadata = {});

/// Creates or overwrites `path` itself. Not atomic.
void write_safetensors(const std::string& path, std::span<const NamedTensor> tensors,
                       const Metadata& metadata = {});

}  // namespace dcl::tensor::io
