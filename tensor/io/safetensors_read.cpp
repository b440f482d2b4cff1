#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <functional>
#include <unordered_map>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tensor/io/file_descriptor.h"
#include "tensor/io/safetensors.h"
#include "tensor/io/safetensors_header.h"

namespace dcl::tensor::io {

namespace {

// The next `count` bytes of a file or of memory.
using ReadBytes = std::function<void(void* to, std::size_t count)>;

bool is_checksum(std::string_view key) {
  return key == kChecksumKey || (key.starts_with(kChecksumKey) && key[kChecksumKey.size()] == ':');
}

// The header's own checksum, where it has one, taken with its digits zeroed. A quote inside a JSON string is
// escaped, so the text searched for can only be the key itself.
void check_header(std::string json, const Metadata& metadata, const std::string& source) {
  const auto stated = metadata.find(std::string(kChecksumKey));
  if (stated == metadata.end()) return;
  const std::string field = fmt::format("\"{}\":\"{}\"", kChecksumKey, stated->second);
  const std::size_t at = json.find(field);
  check(at != std::string::npos && stated->second.size() == kNoChecksum.size(),
        "{}: the header's checksum {} is not in the form that it is written in", source,
        printable(stated->second));
  json.replace(at + field.size() - 1 - kNoChecksum.size(), kNoChecksum.size(), kNoChecksum);
  const auto length = length_bytes(json.size());
  const std::uint32_t crc = crc32(json.data(), json.size(), crc32(length.data(), length.size()));
  check(crc32_digits(crc) == stated->second, "{}: broken file: the header's checksum is {}, it says {}",
        source, crc32_digits(crc), printable(stated->second));
}

// Tensor name -> digits; empty for a file without checksums. One without another is a broken file.
std::unordered_map<std::string, std::string> take_checksums(Header& header, const std::string& source) {
  std::unordered_map<std::string, std::string> checksums;
  bool of_header = false;
  for (auto it = header.metadata.begin(); it != header.metadata.end();) {
    const auto& [key, digits] = *it;
    if (!is_checksum(key)) {
      ++it;
      continue;
    }
    if (key == kChecksumKey)
      of_header = true;
    else
      checksums.emplace(key.substr(kChecksumKey.size() + 1), digits);
    it = header.metadata.erase(it);
  }
  if (!of_header && checksums.empty()) return {};
  check(of_header, "{}: broken file: the header's own checksum is missing", source);
  for (const auto& entry : header.entries)
    check(checksums.contains(entry.name), "{}: broken file: the checksum of tensor {} is missing", source,
          printable(entry.name));
  check(checksums.size() == header.entries.size(), "{}: broken file: {} checksums for {} tensors", source,
        checksums.size(), header.entries.size());
  return checksums;
}

Safetensors read(std::uint64_t file_bytes, const ReadBytes& next, const std::string& source) {
  std::uint64_t header_bytes = 0;
  check(file_bytes >= sizeof header_bytes, "{}: not a safetensors file: {} bytes", source, file_bytes);
  next(&header_bytes, sizeof header_bytes);
  check(header_bytes <= kMaxHeaderBytes && header_bytes <= file_bytes - sizeof header_bytes,
        "{}: not a safetensors file: a header of {} bytes in a file of {}", source, header_bytes, file_bytes);
  std::string json(header_bytes, ' ');
  next(json.data(), json.size());
  Header header = parse_header(json, file_bytes - sizeof header_bytes - header_bytes, source);
  check_header(std::move(json), header.metadata, source);
  const auto checksums = take_checksums(header, source);

  Safetensors out{source, std::vector<NamedTensor>(header.entries.size()), std::move(header.metadata)};
  std::vector<std::size_t> order(header.entries.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return header.entries[a].end < header.entries[b].end;
  });
  for (const std::size_t i : order) {
    HeaderEntry& entry = header.entries[i];
    Tensor tensor = Tensor::empty(Shape(std::move(entry.sizes)), {entry.dtype, {}});
    next(tensor.raw(), entry.end - entry.begin);
    if (!checksums.empty()) {
      const std::string digits = crc32_digits(crc32(tensor.raw(), entry.end - entry.begin));
      check(digits == checksums.at(entry.name),
            "{}: broken file: the checksum of tensor {} is {}, the header says {}", source,
            printable(entry.name), digits, printable(checksums.at(entry.name)));
    }
    out.tensors[i] = {std::move(entry.name), std::move(tensor)};
  }
  return out;
}

}  // namespace

const Tensor* Safetensors::find(std::string_view name) const {
  const auto found =
      std::find_if(tensors.begin(), tensors.end(), [&](const auto& t) { return t.name == name; });
  return found == tensors.end() ? nullptr : &found->tensor;
}

const Tensor& Safetensors::at(std::string_view name) const {
  const Tensor* tensor = find(name);
  check(tensor != nullptr, "{}: there is no tensor {}", source, printable(name));
  return *tensor;
}

Safetensors read_safetensors(const std::string& path) {
  // O_NONBLOCK: a pipe is refused below rather than waited for.
  const FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.get() < 0) throw_system_error(path, "cannot be opened");
  struct stat status{};
  if (::fstat(file.get(), &status) != 0) throw_system_error(path, "cannot be read");
  check(S_ISREG(status.st_mode), "{}: not a file", path);
  const auto next = [&](void* to, std::size_t count) {
    auto* at = static_cast<char*>(to);
    while (count > 0) {
      const ssize_t got = ::read(file.get(), at, std::min(count, kMaxTransfer));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) throw_system_error(path, "cannot be read");
      check(got > 0, "{}: the file became shorter while it was read", path);
      at += got;
      count -= static_cast<std::size_t>(got);
    }
  };
  return read(static_cast<std::uint64_t>(status.st_size), next, path);
}

Safetensors parse_safetensors(std::span<const std::byte> bytes, const std::string& source) {
  const auto next = [rest = bytes](void* to, std::size_t count) mutable {
    if (count > 0) std::memcpy(to, rest.data(), count);
    rest = rest.subspan(count);
  };
  return read(bytes.size(), next, source);
}

}  // namespace dcl::tensor::io
