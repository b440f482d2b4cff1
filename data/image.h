// An 8-bit picture: what decoders give and augmentations work on.
#pragma once

#include <cstdint>
#include <vector>

namespace dcl::data {

/// Scratch memory that a thread keeps from picture to picture: at most 32 MiB, so that one large picture does
/// not hold it for the rest of a run.
inline void keep_if_small(std::vector<std::uint8_t>& scratch) {
  if (scratch.capacity() > std::size_t{32} << 20) scratch = {};
}

struct Image {
  std::int64_t width = 0;
  std::int64_t height = 0;
  std::vector<std::uint8_t> pixels;  // height × width × (red, green, blue)

  Image() = default;
  Image(std::int64_t w, std::int64_t h) : width(w), height(h), pixels(static_cast<std::size_t>(w * h * 3)) {}

  /// The pixels are what they happen to be.
  void resize(std::int64_t w, std::int64_t h) {
    width = w;
    height = h;
    pixels.resize(static_cast<std::size_t>(w * h * 3));
  }
  std::uint8_t* row(std::int64_t y) { return pixels.data() + y * width * 3; }
  const std::uint8_t* row(std::int64_t y) const { return pixels.data() + y * width * 3; }
  bool operator==(const Image&) const = default;
};

}  // namespace dcl::data
