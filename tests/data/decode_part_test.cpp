// A part of a picture has the pixels of the whole one, and is good or bad with it.
#include <optional>

#include <gtest/gtest.h>

#include "data/decode.h"
#include "tensor/check.h"
#include "tensor/random.h"
#include "tests/ops/op_table.h"
#include "tests/support/pictures.h"

namespace dcl::data {
namespace {

using test::Bytes;
using test::drawn_picture;
using test::expect_error;
using test::JpegKind;
using test::JpegOptions;

Part part_of(const Bytes& bytes, const ChooseBox& choose) {
  Part part;
  decode_part(bytes, "x", choose, part);
  return part;
}

Part part_of(const Bytes& bytes, const CropBox& box) {
  return part_of(bytes, [&](std::int64_t, std::int64_t) { return box; });
}

// Whether the part has all of the box, with the whole picture's pixels.
testing::AssertionResult same_pixels(const Part& part, const CropBox& box, const Image& whole) {
  const CropBox& got = part.box;
  if (got.width != part.image.width || got.height != part.image.height || got.top > box.top ||
      got.left > box.left || got.top + got.height < box.top + box.height ||
      got.left + got.width < box.left + box.width)
    return testing::AssertionFailure() << "the part does not cover the box";
  for (std::int64_t y = box.top; y < box.top + box.height; ++y) {
    const std::uint8_t* const expected = whole.row(y) + box.left * 3;
    const std::uint8_t* const pixels = part.image.row(y - got.top) + (box.left - got.left) * 3;
    if (!std::equal(expected, expected + box.width * 3, pixels))
      return testing::AssertionFailure() << "other pixels in row " << y;
  }
  return testing::AssertionSuccess();
}

std::string text_of(const CropBox& box) {
  return fmt::format("{}x{} at ({}, {})", box.width, box.height, box.left, box.top);
}

// Edges at random, one box in four touching each of the picture's edges.
CropBox drawn_box(std::int64_t width, std::int64_t height, tensor::RandomStream& random) {
  const auto between = [&](std::int64_t size, std::int64_t& first, std::int64_t& length) {
    const auto a = static_cast<std::int64_t>(random.uniform(0, static_cast<double>(size)));
    const auto b = static_cast<std::int64_t>(random.uniform(0, static_cast<double>(size)));
    first = random.chance(0.25) ? 0 : std::min(a, b);
    length = (random.chance(0.25) ? size : std::max(a, b) + 1) - first;
  };
  CropBox box;
  between(width, box.left, box.width);
  between(height, box.top, box.height);
  return box;
}

std::vector<JpegOptions> all_kinds() {
  std::vector<JpegOptions> kinds;
  for (const auto kind : {JpegKind::color, JpegKind::grey, JpegKind::rgb, JpegKind::cmyk, JpegKind::ycck})
    for (const auto& [horizontal, vertical] :
         {std::pair(1, 1), {2, 1}, {1, 2}, {2, 2}, {4, 1}, {4, 2}, {1, 4}}) {
      const bool four = kind == JpegKind::cmyk || kind == JpegKind::ycck;
      if (four && horizontal * vertical > 4) continue;  // an MCU has at most ten blocks
      JpegOptions options{.kind = kind, .horizontal = horizontal, .vertical = vertical};
      kinds.push_back(options);
      options.restart_rows = 1;
      kinds.push_back(options);
      options.restart_rows = 0;
      options.progressive = true;
      kinds.push_back(options);
      options.progressive = false;
      options.one_by_one = true;
      kinds.push_back(options);
      options.one_by_one = false;
      options.arithmetic = true;
      kinds.push_back(options);
    }
  return kinds;
}

std::string text_of(const JpegOptions& o) {
  return fmt::format("kind {}, sampling {}x{}, progressive {}, restarts {}, one by one {}, arithmetic {}",
                     static_cast<int>(o.kind), o.horizontal, o.vertical, o.progressive, o.restart_rows,
                     o.one_by_one, o.arithmetic);
}

TEST(DecodePart, HasTheWholePicturesPixels) {
  tensor::RandomStream random({.seed = 5, .purpose = tensor::Purpose::test});
  for (const auto& kind : all_kinds())
    for (const auto& [width, height] : {std::pair(167, 131), {97, 200}, {30, 5}, {3, 70}}) {
      const Bytes bytes = test::encode_jpeg(drawn_picture(width, height), kind);
      const Image whole = decode(bytes, "x");
      for (int i = 0; i < 12; ++i) {
        const CropBox box = drawn_box(width, height, random);
        ASSERT_TRUE(same_pixels(part_of(bytes, box), box, whole)) << text_of(box) << ", " << text_of(kind);
      }
    }
}

// Every first and last row and column: skipping an odd number of rows once gave other ones (libjpeg-turbo's
// issue 915).
TEST(DecodePart, WhereverTheBoxBeginsAndEnds) {
  for (const auto& [horizontal, vertical] : {std::pair(1, 1), {2, 1}, {2, 2}, {1, 2}}) {
    const Bytes bytes =
        test::encode_jpeg(drawn_picture(75, 83), {.horizontal = horizontal, .vertical = vertical});
    const Image whole = decode(bytes, "x");
    for (std::int64_t first = 0; first < 75; ++first)
      for (const std::int64_t length :
           {std::int64_t{1}, std::int64_t{2}, std::int64_t{7}, std::int64_t{16}, std::int64_t{33}}) {
        const CropBox across{.top = 3, .left = first, .height = 9, .width = std::min(length, 75 - first)};
        ASSERT_TRUE(same_pixels(part_of(bytes, across), across, whole)) << text_of(across);
        const CropBox down{.top = first, .left = 3, .height = std::min(length, 83 - first), .width = 9};
        ASSERT_TRUE(same_pixels(part_of(bytes, down), down, whole)) << text_of(down);
      }
  }
}

TEST(DecodePart, IsLittleMoreThanTheBox) {
  const Bytes bytes = test::encode_jpeg(drawn_picture(640, 480), {.horizontal = 2, .vertical = 2});
  const CropBox box{.top = 200, .left = 300, .height = 60, .width = 80};
  const Part part = part_of(bytes, box);
  EXPECT_LE(part.image.width, 80 + 2 * 32);  // at each side the rest of an MCU and one more
  EXPECT_LE(part.image.height, 60 + 2 * 32);
}

// Every byte of a file turned over, and every tenth one cut off: the same verdict and pixels for any box.
TEST(DecodePart, DamageIsJudgedWhateverTheBox) {
  const std::int64_t width = 70;
  const std::int64_t height = 60;
  const CropBox boxes[] = {{0, 0, 1, 1}, {59, 69, 1, 1}, {20, 24, 9, 13}, {0, 0, 60, 70}};
  const auto compare = [&](const Bytes& bytes, const std::string& what) {
    std::optional<Image> whole;
    std::string reason;
    try {
      whole = decode(bytes, "x");
    } catch (const Error& error) {
      reason = error.what();
    }
    if (whole && (whole->width != width || whole->height != height)) return;
    for (const auto& box : boxes) {
      try {
        const Part part = part_of(bytes, box);
        ASSERT_TRUE(whole.has_value()) << what << ", box " << text_of(box) << ", whole: " << reason;
        ASSERT_TRUE(same_pixels(part, box, *whole)) << what << ", box " << text_of(box);
      } catch (const Error& error) {
        ASSERT_FALSE(whole.has_value()) << what << ", box " << text_of(box) << ": " << error.what();
      }
    }
  };
  for (const JpegOptions& kind :
       {JpegOptions{.quality = 60, .horizontal = 2, .vertical = 2},
        JpegOptions{.quality = 60, .restart_rows = 1}, JpegOptions{.quality = 60, .progressive = true},
        JpegOptions{.quality = 60, .one_by_one = true}, JpegOptions{.quality = 60, .arithmetic = true}}) {
    const Bytes good = test::encode_jpeg(drawn_picture(width, height), kind);
    for (std::size_t i = 2; i < good.size(); ++i)
      for (const int with : {0xFF, 0x01}) {
        Bytes flipped = good;
        flipped[i] = static_cast<std::uint8_t>(flipped[i] ^ with);
        compare(flipped, fmt::format("{}, byte {} ^ {}", text_of(kind), i, with));
      }
    for (std::size_t size = 0; size < good.size(); size += 10) {
      const Bytes part(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(size));
      EXPECT_THROW(part_of(part, boxes[0]), Error) << text_of(kind) << ", " << size << " bytes";
    }
    // Markers where the data goes on: an early end, a second scan, an unknown one.
    for (const int marker : {0xD9, 0xDA, 0xC0, 0xD3, 0xE1, 0x02, 0xFF})
      for (std::size_t at = good.size() / 2; at < good.size() / 2 + 40; ++at) {
        Bytes marked = good;
        marked[at] = 0xFF;
        marked[at + 1] = static_cast<std::uint8_t>(marker);
        compare(marked, fmt::format("{}, marker {:#x} at {}", text_of(kind), marker, at));
      }
  }
}

TEST(DecodePart, TheSizeIsToldAndTheBoxChecked) {
  for (const auto& bytes :
       {test::encode_jpeg(drawn_picture(40, 30)), test::encode_png(drawn_picture(40, 30))}) {
    int asked = 0;
    const auto ask = [&](CropBox box) {
      return part_of(bytes, [&](std::int64_t width, std::int64_t height) {
        EXPECT_EQ(width, 40);
        EXPECT_EQ(height, 30);
        ++asked;
        return box;
      });
    };
    EXPECT_TRUE(same_pixels(ask({5, 6, 7, 8}), {5, 6, 7, 8}, decode(bytes, "x")));
    for (const CropBox& box : {CropBox{0, 0, 31, 40},
                               {0, 0, 30, 41},
                               {-1, 0, 3, 3},
                               {0, -1, 3, 3},
                               {0, 0, 0, 3},
                               {0, 0, 3, 0},
                               {std::int64_t{1} << 62, 0, std::int64_t{1} << 62, 3}})
      expect_error([&] { ask(box); }, {"is not inside the picture of 40×30"});
    EXPECT_EQ(asked, 8);
    EXPECT_THROW(part_of(bytes, [](std::int64_t, std::int64_t) -> CropBox { throw 7; }), int);
    EXPECT_TRUE(same_pixels(ask({0, 0, 30, 40}), {0, 0, 30, 40}, decode(bytes, "x")));  // still usable
  }
}

}  // namespace
}  // namespace dcl::data
