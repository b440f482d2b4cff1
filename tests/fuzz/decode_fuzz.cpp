// JPEG and PNG files. What holds:
//   - a picture has as many pixels as it says, and not too many
//   - it does not depend on the pictures decoded before it
//   - a file that was cut is refused or, where only bytes behind its end are missing, the same picture
//   - a part of it has its pixels, and is refused where it is
//   - cropped to itself it is itself; of a crop no value lies outside those of its box
#include <algorithm>
#include <array>

#include "data/decode.h"
#include "data/resize.h"
#include "tensor/check.h"
#include "tensor/random.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/pictures.h"

namespace dcl::fuzz {

using data::Image;
using test::JpegKind;

std::vector<Bytes> seeds() {
  std::vector<Bytes> all;
  const Image picture = test::drawn_picture(19, 13);
  for (const auto kind : {JpegKind::color, JpegKind::grey, JpegKind::rgb, JpegKind::cmyk, JpegKind::ycck})
    for (const bool progressive : {false, true})
      all.push_back(test::encode_jpeg(
          picture,
          {.kind = kind, .quality = 60, .progressive = progressive, .restart_rows = progressive ? 0 : 1}));
  const Bytes palette{10, 20, 30, 200, 100, 0, 7, 8, 9, 255, 254, 253};
  for (const bool interlaced : {false, true}) {
    for (const int type : {0, 2, 4, 6})
      for (const int bits : {8, 16}) {
        const std::size_t samples = type == 0 ? 1U : type == 4 ? 2U : type == 2 ? 3U : 4U;
        const std::vector<Bytes> rows(
            4, Bytes(5 * samples * static_cast<std::size_t>(bits / 8), static_cast<std::uint8_t>(type + 70)));
        all.push_back(test::encode_png(
            5, 4, rows, {.color_type = type, .bits = bits, .interlaced = interlaced, .palette = {}}));
      }
    all.push_back(
        test::encode_png(5, 2, {{0x1b, 0xc0}, {0xe4, 0x40}},
                         {.color_type = 3, .bits = 2, .interlaced = interlaced, .palette = palette}));
  }
  for (const int horizontal : {1, 2})  // several MCUs each way, so that a part can be less than all
    for (const int restart_rows : {0, 1})
      all.push_back(test::encode_jpeg(
          test::drawn_picture(70, 66),
          {.quality = 20, .restart_rows = restart_rows, .horizontal = horizontal, .vertical = horizontal}));
  return all;
}

namespace {

constexpr std::int64_t kMostPixels = 1 << 16;  // larger ones cost time and show nothing

std::int64_t big_endian(View bytes, std::size_t at, std::size_t count) {
  std::int64_t value = 0;
  for (std::size_t i = at; i < at + count; ++i) value = value * 256 + (i < bytes.size() ? bytes[i] : 0);
  return value;
}

// Every frame header of a JPEG file, real or in the middle of something, and the header of a PNG file.
bool is_large(View bytes) {
  if (!bytes.empty() && bytes[0] == 0x89)
    return big_endian(bytes, 16, 4) > kMostPixels || big_endian(bytes, 20, 4) > kMostPixels ||
           big_endian(bytes, 16, 4) * big_endian(bytes, 20, 4) > kMostPixels;
  for (std::size_t i = 0; i + 1 < bytes.size(); ++i)
    if (bytes[i] == 0xFF && (bytes[i + 1] & 0xF0) == 0xC0 &&
        big_endian(bytes, i + 5, 2) * big_endian(bytes, i + 7, 2) > kMostPixels)
      return true;
  return false;
}

void check_cut(View file, const Image& whole, Choices& choices) {
  const auto size = static_cast<std::size_t>(choices.upto(std::ssize(file)));
  // Of its own length, so that a read beyond the end is seen.
  const Bytes part(file.begin(), file.begin() + static_cast<std::ptrdiff_t>(size));
  try {
    hold(data::decode(part, "part") == whole, "a part of a file is refused or the same picture");
  } catch (const Error&) {
  }
}

bool holds_pixels(const data::Part& part, const data::CropBox& box, const Image& whole) {
  const data::CropBox& got = part.box;
  if (got.top > box.top || got.left > box.left || got.top + got.height < box.top + box.height ||
      got.left + got.width < box.left + box.width)
    return false;
  for (std::int64_t y = box.top; y < box.top + box.height; ++y) {
    const std::uint8_t* const expected = whole.row(y) + box.left * 3;
    if (!std::equal(expected, expected + box.width * 3,
                    part.image.row(y - got.top) + (box.left - got.left) * 3))
      return false;
  }
  return true;
}

void check_part(View file, const data::CropBox& box, const Image& whole) {
  data::Part part;
  try {
    data::decode_part(file, "part", [&](std::int64_t, std::int64_t) { return box; }, part);
  } catch (const Error&) {
    hold(false, "a part is good where the whole picture is");
  }
  hold(holds_pixels(part, box, whole), "a part has the whole picture's pixels");
}

// Boxes at random, others for each input; every second one begins on an MCU of 8 or 16, where mistakes show.
void check_parts(View file, const Image& whole) {
  std::uint64_t hash = 14695981039346656037U;
  for (const auto byte : file) hash = (hash ^ byte) * 1099511628211U;
  tensor::RandomStream random({.seed = hash, .purpose = tensor::Purpose::test});
  const auto below = [&](std::int64_t end) {
    return static_cast<std::int64_t>(random.below(static_cast<std::uint32_t>(end)));
  };
  for (int i = 0; i < 4; ++i) {
    const std::int64_t step = i % 2 == 0 ? 1 : 8;
    data::CropBox box;
    box.top = below(whole.height) / step * step;
    box.left = below(whole.width) / step * step;
    box.height = 1 + below(whole.height - box.top);
    box.width = 1 + below(whole.width - box.left);
    check_part(file, box, whole);
  }
}

bool is_damaged(View file) {
  try {
    data::Part part;
    const auto corner = [](std::int64_t, std::int64_t) { return data::CropBox{0, 0, 1, 1}; };
    data::decode_part(file, "part", corner, part);
    return false;
  } catch (const Error&) {
    return true;
  }
}

void check_crop(const Image& image, Choices& choices) {
  hold(data::crop_resize(image, {0, 0, image.height, image.width}, image.width, image.height) == image,
       "a picture resized to its own size is itself");
  data::CropBox box;
  box.top = choices.upto(image.height - 1);
  box.left = choices.upto(image.width - 1);
  box.height = 1 + choices.upto(image.height - box.top - 1);
  box.width = 1 + choices.upto(image.width - box.left - 1);
  const std::int64_t width = 1 + choices.upto(63);
  const std::int64_t height = 1 + choices.upto(63);
  const Image crop = data::crop_resize(image, box, width, height);
  hold(crop.width == width && crop.height == height && std::ssize(crop.pixels) == width * height * 3,
       "a crop has the size that was asked for");
  std::uint8_t low = 255;
  std::uint8_t high = 0;
  for (std::int64_t y = box.top; y < box.top + box.height; ++y) {
    const std::uint8_t* row = image.row(y) + box.left * 3;
    low = std::min(low, *std::min_element(row, row + box.width * 3));
    high = std::max(high, *std::max_element(row, row + box.width * 3));
  }
  hold(std::ranges::all_of(crop.pixels, [&](auto value) { return value >= low && value <= high; }),
       "no value of a crop lies outside those of its box");
}

}  // namespace

void run(View input) {
  if (is_large(input)) return;
  Image image;
  try {
    image = data::decode(input, "file");
  } catch (const Error&) {
    hold(is_damaged(input), "a part is refused where the whole picture is");
    return;
  }
  hold(image.width > 0 && image.height > 0 && image.width * image.height <= kMostPixels &&
           std::ssize(image.pixels) == image.width * image.height * 3,
       "a picture has the pixels that it says");
  static const Bytes other = test::encode_jpeg(test::drawn_picture(8, 8),
                                               {.kind = JpegKind::grey, .quality = 20, .progressive = true});
  data::decode(other, "other");
  hold(data::decode(input, "file") == image, "a picture does not depend on those before it");
  check_parts(input, image);
  Choices choices(input);
  check_cut(input, image, choices);
  check_crop(image, choices);
}

}  // namespace dcl::fuzz
