// safetensors files. What holds: every byte behind the header belongs to one tensor, and what was read,
// written and read again is the same to the last bit.
#include <cstring>

#include <sys/mman.h>
#include <unistd.h>

#include "tensor/io/file_descriptor.h"
#include "tensor/io/safetensors.h"
#include "tests/fuzz/fuzz.h"

namespace dcl::fuzz {

namespace io = tensor::io;

namespace {

Bytes file_of(std::string_view header, std::size_t data_bytes) {
  Bytes file(8 + header.size() + data_bytes, 0x3F);
  const std::uint64_t length = header.size();
  std::memcpy(file.data(), &length, 8);
  std::memcpy(file.data() + 8, header.data(), header.size());
  return file;
}

Bytes written(const io::Safetensors& tensors) {
  const io::FileDescriptor file(::memfd_create("again", MFD_CLOEXEC));
  io::write_safetensors(file.get(), "again", tensors.tensors, tensors.metadata);
  Bytes bytes(static_cast<std::size_t>(::lseek(file.get(), 0, SEEK_CUR)));
  hold(::pread(file.get(), bytes.data(), bytes.size(), 0) == std::ssize(bytes),
       "a file in memory is read back");
  return bytes;
}

}  // namespace

std::vector<Bytes> seeds() {
  return {
      golden("safetensors/package.safetensors"), golden("safetensors/checksums.safetensors"),
      file_of(
          R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"U8","shape":[0,4611686018427387904],"data_offsets":[8,8]}})",
          8),
      file_of(R"({"__metadata__":{"k":"\u00e9"},"s":{"dtype":"BF16","shape":[],"data_offsets":[0,2]}})", 2),
      file_of("{}", 0)};
}

void run(View input) {
  const io::Safetensors read = io::parse_safetensors(std::as_bytes(input), "file");
  std::uint64_t header = 0;
  std::memcpy(&header, input.data(), sizeof header);
  std::uint64_t bytes = sizeof header + header;
  for (const auto& each : read.tensors) bytes += static_cast<std::uint64_t>(each.tensor.nbytes());
  hold(bytes == input.size(), "every byte behind the header belongs to a tensor");
  for (const auto& [key, text] : read.metadata)
    if (key.starts_with("dcl.crc32")) return;  // reserved: read, but not written

  const Bytes file = written(read);
  const io::Safetensors again = io::parse_safetensors(std::as_bytes(std::span(file)), "again");
  hold(again.metadata == read.metadata && again.tensors.size() == read.tensors.size(),
       "as much is read again");
  for (const auto& [name, tensor] : read.tensors) {
    const auto* same = again.find(name);
    hold(same != nullptr && same->dtype() == tensor.dtype() && same->shape() == tensor.shape() &&
             (tensor.nbytes() == 0 ||
              std::memcmp(same->raw(), tensor.raw(), static_cast<std::size_t>(tensor.nbytes())) == 0),
         "the same tensors are read again");
  }
  hold(written(again) == file, "the same tensors make the same file");
}

}  // namespace dcl::fuzz
