#include "data/decode.h"

#include <cmath>

#include <gtest/gtest.h>

#include "tensor/check.h"
#include "tests/ops/op_table.h"
#include "tests/support/augment_cases.h"
#include "tests/support/pictures.h"

namespace dcl::data {
namespace {

using test::Bytes;
using test::drawn_picture;
using test::expect_error;
using test::JpegKind;

const JpegKind kKinds[] = {JpegKind::color, JpegKind::grey, JpegKind::rgb, JpegKind::cmyk, JpegKind::ycck};

double mean_difference(const Image& a, const Image& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.pixels.size(); ++i) sum += std::abs(a.pixels[i] - b.pixels[i]);
  return sum / static_cast<double>(a.pixels.size());
}

// Smooth, so that a JPEG of high quality is near it in every colour space.
Image smooth_picture(std::int64_t width, std::int64_t height) {
  Image image(width, height);
  for (std::int64_t y = 0; y < height; ++y)
    for (std::int64_t x = 0; x < width; ++x) {
      image.row(y)[x * 3] = static_cast<std::uint8_t>(40 + 2 * x);
      image.row(y)[x * 3 + 1] = static_cast<std::uint8_t>(200 - 2 * y);
      image.row(y)[x * 3 + 2] = static_cast<std::uint8_t>(60 + x + y);
    }
  return image;
}

// What a decoder should give: grey is the green plane; CMYK multiplies by 1 - K.
Image expected_of(Image image, JpegKind kind) {
  for (std::size_t i = 0; i < image.pixels.size(); ++i) {
    if (kind == JpegKind::grey) image.pixels[i] = image.pixels[i / 3 * 3 + 1];
    if (kind == JpegKind::cmyk || kind == JpegKind::ycck)
      image.pixels[i] = static_cast<std::uint8_t>(image.pixels[i] * (255 - 40) / 255.0 + 0.5);
  }
  return image;
}

TEST(DecodeJpeg, EveryColorSpace) {
  const Image image = smooth_picture(70, 50);
  for (const auto kind : kKinds)
    for (const bool progressive : {false, true}) {
      const Bytes bytes = test::encode_jpeg(
          image,
          {.kind = kind, .quality = 98, .progressive = progressive, .restart_rows = progressive ? 0 : 1});
      const Image got = decode(bytes, "x.jpg");
      ASSERT_EQ(got.width, 70);
      ASSERT_EQ(got.height, 50);
      EXPECT_LT(mean_difference(got, expected_of(image, kind)), 2.0) << static_cast<int>(kind) << progressive;
    }
}

TEST(DecodeJpeg, OddAndTinySizes) {
  for (const std::int64_t width : {1, 7, 8, 9, 17})
    for (const std::int64_t height : {1, 8, 15}) {
      const Image got = decode(test::encode_jpeg(smooth_picture(width, height), {.quality = 98}), "x");
      ASSERT_EQ(got.width, width);
      ASSERT_EQ(got.height, height);
      EXPECT_LT(mean_difference(got, smooth_picture(width, height)), 4.0) << width << "x" << height;
    }
}

// As in Pillow: whatever is missing, even only the end-of-image marker, makes the file damaged.
TEST(DecodeJpeg, TruncatedAnywhereIsDamaged) {
  const Image image = drawn_picture(48, 40);
  for (const auto kind : {JpegKind::color, JpegKind::grey, JpegKind::cmyk})
    for (const bool progressive : {false, true}) {
      const Bytes whole = test::encode_jpeg(image, {.kind = kind, .quality = 50, .progressive = progressive});
      for (std::size_t size = 0; size < whole.size(); ++size) {
        const Bytes part(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
        EXPECT_THROW(decode(part, "x.jpg"), Error) << size << " of " << whole.size() << " bytes";
      }
      EXPECT_NO_THROW(decode(whole, "x.jpg"));  // the decoder is not left in a bad state
    }
}

TEST(DecodeJpeg, BytesAfterTheEndAreIgnored) {
  const Bytes whole = test::encode_jpeg(drawn_picture(33, 21));
  Bytes longer = whole;
  for (int i = 0; i < 5000; ++i) longer.push_back(static_cast<std::uint8_t>(i * 37));
  EXPECT_EQ(decode(longer, "x"), decode(whole, "x"));
}

TEST(DecodeJpeg, AtMostHundredScans) {
  const Image image = drawn_picture(16, 16);
  EXPECT_NO_THROW(decode(test::encode_jpeg(image, {.kind = JpegKind::grey, .grey_scans = 100}), "x.jpg"));
  const Bytes bomb = test::encode_jpeg(image, {.kind = JpegKind::grey, .grey_scans = 101});
  expect_error([&] { decode(bomb, "x.jpg"); }, {"x.jpg: ", "more than 100 scans"});
}

// The file without all of its segments of a kind (JPEG's marker): each has its length behind the marker.
Bytes without_segments(const Bytes& jpeg, int marker) {
  Bytes result(jpeg.begin(), jpeg.begin() + 2);
  std::size_t at = 2;
  while (jpeg[at + 1] != 0xDA) {
    const std::size_t end = at + 2 + (std::size_t{jpeg[at + 2]} << 8) + jpeg[at + 3];
    if (jpeg[at + 1] != marker)
      result.insert(result.end(), jpeg.begin() + static_cast<std::ptrdiff_t>(at),
                    jpeg.begin() + static_cast<std::ptrdiff_t>(end));
    at = end;
  }
  result.insert(result.end(), jpeg.begin() + static_cast<std::ptrdiff_t>(at), jpeg.end());
  return result;
}

// A thread uses its decoder again: what a file leaves out is not taken from the one before.
TEST(DecodeJpeg, NothingIsLeftOverFromTheLastPicture) {
  const Image image = drawn_picture(40, 30);
  const Bytes no_quantisation = without_segments(test::encode_jpeg(image), 0xDB);
  const Bytes no_huffman = without_segments(test::encode_jpeg(image, {.progressive = true}), 0xC4);
  for (const bool progressive : {false, true}) {
    EXPECT_NO_THROW(decode(test::encode_jpeg(image, {.progressive = progressive}), "good.jpg"));
    expect_error([&] { decode(no_quantisation, "x.jpg"); },
                 {"x.jpg: Quantization table 0x00 was not defined"});
    EXPECT_NO_THROW(decode(test::encode_jpeg(image, {.progressive = progressive}), "good.jpg"));
    expect_error([&] { decode(no_huffman, "x.jpg"); }, {"x.jpg: Huffman table 0x00 was not defined"});
  }
}

// Each flipped byte gives a picture or an Error, nothing else; sanitizers watch.
TEST(DecodeJpeg, FlippedBytesAreSurvived) {
  for (const auto kind : kKinds) {
    const Bytes whole = test::encode_jpeg(drawn_picture(24, 16), {.kind = kind, .progressive = true});
    for (std::size_t i = 2; i < whole.size(); ++i) {
      Bytes flipped = whole;
      flipped[i] ^= 0xFF;
      // A picture's size may be among the flipped bytes: large ones cost time, and show nothing.
      try {
        const Image image = decode(flipped, "x.jpg");
        EXPECT_EQ(image.pixels.size(), static_cast<std::size_t>(image.width * image.height * 3));
      } catch (const Error&) {
      }
    }
  }
}

// The frame header (marker SOF0) holds height and width.
TEST(DecodeJpeg, TooManyPixelsAreRefused) {
  Bytes bytes = test::encode_jpeg(drawn_picture(16, 16));
  std::size_t at = 0;
  while (bytes[at] != 0xFF || bytes[at + 1] != 0xC0) ++at;
  bytes[at + 5] = bytes[at + 7] = 0x40;  // 16400 x 16400
  expect_error([&] { decode(bytes, "x.jpg"); }, {"x.jpg: more than 178,956,970 pixels"});
}

TEST(DecodePng, EightBitKinds) {
  const std::int64_t width = 13;
  const std::int64_t height = 9;
  const Image image = drawn_picture(width, height);
  for (const bool interlaced : {false, true}) {
    for (const int color_type : {0, 2, 4, 6})
      for (const int bits : {8, 16}) {
        std::vector<Bytes> rows(static_cast<std::size_t>(height));
        Image expected = image;
        const int colors = color_type % 4 == 0 ? 1 : 3;
        for (std::int64_t y = 0; y < height; ++y)
          for (std::int64_t x = 0; x < width; ++x) {
            const auto add = [&](int value, int low) {
              rows[static_cast<std::size_t>(y)].push_back(static_cast<std::uint8_t>(value));
              if (bits == 16) rows[static_cast<std::size_t>(y)].push_back(static_cast<std::uint8_t>(low));
            };
            std::uint8_t* pixel = expected.row(y) + x * 3;
            if (colors == 1) pixel[1] = pixel[2] = pixel[0];
            for (int c = 0; c < colors; ++c) add(pixel[c], 255 - c);  // low bytes that rounding would carry
            if (color_type >= 4) add(static_cast<int>(x) * 19, 7);
          }
        const Bytes bytes = test::encode_png(
            width, height, rows,
            {.color_type = color_type, .bits = bits, .interlaced = interlaced, .palette = {}});
        EXPECT_EQ(decode(bytes, "x.png"), expected) << "color type " << color_type << ", " << bits << " bits";
      }
  }
}

TEST(DecodePng, PackedGreyAndPalettes) {
  const Bytes palette{10, 20, 30, 200, 100, 0, 7, 8, 9, 255, 254, 253};
  const std::vector<Bytes> two_bits{{0b00'01'10'11, 0b11'00'00'00},
                                    {0b11'10'01'00, 0b01'00'00'00}};  // 5 pixels
  const int index[2][5] = {{0, 1, 2, 3, 3}, {3, 2, 1, 0, 1}};
  for (const bool interlaced : {false, true}) {
    const Image grey =
        decode(test::encode_png(5, 2, two_bits,
                                {.color_type = 0, .bits = 2, .interlaced = interlaced, .palette = {}}),
               "x");
    const Image color =
        decode(test::encode_png(5, 2, two_bits,
                                {.color_type = 3, .bits = 2, .interlaced = interlaced, .palette = palette}),
               "x");
    for (int y = 0; y < 2; ++y)
      for (int x = 0; x < 5; ++x)
        for (int c = 0; c < 3; ++c) {
          EXPECT_EQ(grey.row(y)[x * 3 + c], index[y][x] * 85);
          EXPECT_EQ(color.row(y)[x * 3 + c], palette[static_cast<std::size_t>(index[y][x] * 3 + c)]);
        }
  }
}

TEST(DecodePng, TruncatedAnywhereIsDamaged) {
  const Bytes whole = test::encode_png(drawn_picture(20, 16));
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const Bytes part(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
    EXPECT_THROW(decode(part, "x.png"), Error) << size << " of " << whole.size() << " bytes";
  }
}

// Every chunk that matters carries a checksum, so no flipped byte of those may pass as another picture.
TEST(DecodePng, FlippedBytesAreDamage) {
  const Image image = drawn_picture(20, 16);
  const Bytes whole = test::encode_png(image);
  for (std::size_t i = 0; i < whole.size(); ++i) {
    Bytes flipped = whole;
    flipped[i] ^= 0x10;
    try {
      EXPECT_EQ(decode(flipped, "x.png"), image) << "byte " << i;
    } catch (const Error&) {
    }
  }
}

TEST(Decode, TellsTheFormatByTheContent) {
  const Image image = drawn_picture(9, 9);
  EXPECT_EQ(decode(test::encode_png(image), "photo.JPEG"), image);
  const std::string text = "this is not a picture";
  const Bytes bytes(text.begin(), text.end());
  expect_error([&] { decode(bytes, "a/text.jpg"); }, {"a/text.jpg: neither a JPEG nor a PNG picture"});
  expect_error([&] { decode({}, "a/empty.jpg"); }, {"a/empty.jpg: the file is empty"});
}

}  // namespace
}  // namespace dcl::data
