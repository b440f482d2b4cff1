#include <algorithm>
#include <unordered_set>

#include <fcntl.h>
#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include "tensor/io/file_descriptor.h"
#include "tensor/io/safetensors.h"
#include "tensor/io/safetensors_header.h"

namespace dcl::tensor::io {

namespace {

// A JSON string, quotes included.
std::string json_string(const std::string& text, const std::string& path) {
  try {
    return nlohmann::json(text).dump();
  } catch (const nlohmann::json::exception&) {
    fail("{}: a name or text in the metadata is not UTF-8", path);
  }
}

void check_names(std::span<const NamedTensor> tensors, const Metadata& metadata, const std::string& path) {
  std::unordered_set<std::string_view> names;
  for (const auto& [name, tensor] : tensors) {
    check(!name.empty() && name.size() <= kMaxNameBytes && name != kMetadataKey,
          "{}: {} cannot be a tensor's name", path, printable(name));
    check(names.insert(name).second, "{}: two tensors are named {}", path, printable(name));
    check(tensor.defined() && tensor.device().is_cpu(), "{}: tensor {} is {}, expected one on the CPU", path,
          printable(name), tensor.defined() ? tensor.device().str() : "undefined");
    check(tensor.shape().sizes().size() <= kMaxDims, "{}: tensor {} is {}, expected at most {} dimensions",
          path, printable(name), tensor.str(), kMaxDims);
  }
  for (const auto& [key, text] : metadata)
    check(!key.starts_with(kChecksumKey), "{}: metadata key {} is kept for checksums", path, printable(key));
}

// Wider types first, otherwise in the order given: then every tensor starts at a multiple of its element
// size.
std::vector<std::size_t> data_order(std::span<const NamedTensor> tensors) {
  std::vector<std::size_t> order(tensors.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return size_of(tensors[a].tensor.dtype()) > size_of(tensors[b].tensor.dtype());
  });
  return order;
}

std::string metadata_text(std::span<const NamedTensor> tensors, const Metadata& metadata,
                          const std::string& path) {
  std::string text = fmt::format("\"{}\":{{\"{}\":\"{}\"", kMetadataKey, kChecksumKey, kNoChecksum);
  for (const auto& [name, tensor] : tensors) {
    const std::uint32_t crc = crc32(tensor.raw(), static_cast<std::size_t>(tensor.nbytes()));
    text += fmt::format(",{}:\"{}\"", json_string(fmt::format("{}:{}", kChecksumKey, name), path),
                        crc32_digits(crc));
  }
  for (const auto& [key, value] : metadata)
    text += fmt::format(",{}:{}", json_string(key, path), json_string(value, path));
  return text + "}";
}

// The length, the JSON and its padding.
std::string header_text(std::span<const NamedTensor> tensors, const std::vector<std::size_t>& order,
                        const Metadata& metadata, const std::string& path) {
  std::vector<std::int64_t> begins(tensors.size());
  std::int64_t at = 0;
  for (const std::size_t i : order) {
    begins[i] = at;
    at += tensors[i].tensor.nbytes();
  }
  std::string json = fmt::format("{{{}", metadata_text(tensors, metadata, path));
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const auto& [name, tensor] = tensors[i];
    json += fmt::format(R"(,{}:{{"dtype":"{}","shape":{},"data_offsets":[{},{}]}})", json_string(name, path),
                        format_name(tensor.dtype()), tensor.shape().str(), begins[i],
                        begins[i] + tensor.nbytes());
  }
  json += "}";
  json.append((8 - json.size() % 8) % 8, ' ');
  check(json.size() <= kMaxHeaderBytes, "{}: a header of {} bytes, expected at most {}", path, json.size(),
        kMaxHeaderBytes);
  const auto length = length_bytes(json.size());
  std::string text(length.begin(), length.end());
  text += json;
  text.replace(text.find(kNoChecksum), kNoChecksum.size(), crc32_digits(crc32(text.data(), text.size())));
  return text;
}

void write_bytes(int descriptor, const std::string& path, const void* bytes, std::size_t count) {
  if (!write_all(descriptor, bytes, count)) throw_system_error(path, "cannot be written");
}

}  // namespace

void write_safetensors(int descriptor, const std::string& path, std::span<const NamedTensor> tensors,
                       const Metadata& metadata) {
  check_names(tensors, metadata, path);
  const auto order = data_order(tensors);
  const std::string header = header_text(tensors, order, metadata, path);
  write_bytes(descriptor, path, header.data(), header.size());
  for (const std::size_t i : order)
    write_bytes(descriptor, path, tensors[i].tensor.raw(),
                static_cast<std::size_t>(tensors[i].tensor.nbytes()));
}

void write_safetensors(const std::string& path, std::span<const NamedTensor> tensors,
                       const Metadata& metadata) {
  FileDescriptor file(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
  if (file.get() < 0) throw_system_error(path, "cannot be created");
  write_safetensors(file.get(), path, tensors, metadata);
  if (!file.close()) throw_system_error(path, "cannot be written");
}

}  // namespace dcl::tensor::io
