#include "data/decode.h"

#include <algorithm>
#include <array>

#include "tensor/check.h"

namespace dcl::data {

namespace {

CropBox everything(std::int64_t width, std::int64_t height) {
  return {.top = 0, .left = 0, .height = height, .width = width};
}

}  // namespace

Image decode(std::span<const std::uint8_t> bytes, const std::string& name) {
  Part part;
  decode_part(bytes, name, everything, part);
  return std::move(part.image);
}

void decode_part(std::span<const std::uint8_t> bytes, const std::string& name, const ChooseBox& choose,
                 Part& part) {
  static constexpr std::array<std::uint8_t, 3> jpeg{0xFF, 0xD8, 0xFF};
  static constexpr std::array<std::uint8_t, 8> png{0x89, 'P', 'N', 'G', '\r', '\n', 0x1A, '\n'};
  const auto starts_with = [&](const auto& magic) {
    return bytes.size() >= magic.size() && std::equal(magic.begin(), magic.end(), bytes.begin());
  };
  if (starts_with(jpeg)) return decode_jpeg(bytes, name, choose, part);
  if (starts_with(png)) {  // whole: its checksums go to the end, and hardly any photo is one
    part.image = decode_png(bytes, name);
    part.box = everything(part.image.width, part.image.height);
    return check_box(choose(part.box.width, part.box.height), part.box.width, part.box.height);
  }
  fail("{}: {}", name, bytes.empty() ? "the file is empty" : "neither a JPEG nor a PNG picture");
}

}  // namespace dcl::data
