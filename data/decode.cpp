#include "data/decode.h"

#include <algorithm>
#include <array>

#include "tensor/check.h"

namespace dcl::data {

Image decode(std::span<const std::uint8_t> bytes, const std::string& name) {
  static constexpr std::array<std::uint8_t, 3> jpeg{0xFF, 0xD8, 0xFF};
  static constexpr std::array<std::uint8_t, 8> png{0x89, 'P', 'N', 'G', '\r', '\n', 0x1A, '\n'};
  const auto starts_with = [&](const auto& magic) {
    return bytes.size() >= magic.size() && std::equal(magic.begin(), magic.end(), bytes.begin());
  };
  if (starts_with(jpeg)) return decode_jpeg(bytes, name);
  if (starts_with(png)) return decode_png(bytes, name);
  fail("{}: {}", name, bytes.empty() ? "the file is empty" : "neither a JPEG nor a PNG picture");
}

}  // namespace dcl::data
