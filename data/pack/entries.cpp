#include <nlohmann/json.hpp>
#include <zlib.h>

#include "data/json_number.h"
#include "data/pack/writer.h"
#include "tensor/check.h"

namespace dcl::data {

using nlohmann::json;

std::filesystem::path partial_path(const std::filesystem::path& container) {
  std::filesystem::path path = container;
  if (path.filename().empty()) path = path.parent_path();  // "shards/"
  return path += ".partial";
}

std::uint32_t crc_of(std::span<const std::uint8_t> bytes) {
  return static_cast<std::uint32_t>(::crc32_z(0, bytes.data(), bytes.size()));
}

// Names are bytes of a file system, not always UTF-8, which JSON demands.
std::string entries_text(std::span<const PackedEntry> entries) {
  json text = json::array();
  for (const auto& entry : entries) text.push_back(json::array({entry.name, entry.label, entry.crc}));
  return text.dump(-1, ' ', false, json::error_handler_t::replace);
}

std::vector<PackedEntry> parse_entries(const std::string& text) {
  try {
    std::vector<PackedEntry> entries;
    const json list = json::parse(text);
    check(list.is_array(), "expected an array");
    for (const auto& each : list) {
      check(each.is_array() && each.size() == 3, "expected a name, a label and a checksum");
      entries.push_back({each[0].get<std::string>(), whole_number<std::int64_t>(each[1]),
                         whole_number<std::uint32_t>(each[2])});
    }
    return entries;
  } catch (const std::exception& error) {
    fail("the list of what is packed is broken: {}", error.what());
  }
}

}  // namespace dcl::data
