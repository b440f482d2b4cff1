// libpng reports errors by longjmp: between setjmp and the calls into it no object with a destructor may
// live.
#include <algorithm>
#include <csetjmp>
#include <cstdio>
#include <cstring>
#include <vector>

#include <png.h>

#include "data/decode.h"
#include "tensor/check.h"

namespace dcl::data {

namespace {

struct Reader {
  png_structp png = nullptr;
  png_infop info = nullptr;
  const std::uint8_t* next = nullptr;
  std::size_t left = 0;
  char message[256] = "damaged PNG data";

  Reader();
  ~Reader() { png_destroy_read_struct(&png, &info, nullptr); }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;
};

[[noreturn]] void on_error(png_structp png, png_const_charp message) {
  auto* reader = static_cast<Reader*>(png_get_error_ptr(png));
  std::snprintf(reader->message, sizeof reader->message, "%s", message);
  png_longjmp(png, 1);
}

void no_warning(png_structp /*png*/, png_const_charp /*message*/) {}

void read_bytes(png_structp png, png_bytep to, std::size_t count) {
  auto* reader = static_cast<Reader*>(png_get_io_ptr(png));
  if (count > reader->left) png_error(png, "the file is truncated");
  std::memcpy(to, reader->next, count);
  reader->next += count;
  reader->left -= count;
}

Reader::Reader() {
  png = png_create_read_struct(PNG_LIBPNG_VER_STRING, this, on_error, no_warning);
  check(png != nullptr, "libpng: no memory for a reader");
  info = png_create_info_struct(png);
  check(info != nullptr, "libpng: no memory for a reader");
  png_set_read_fn(png, this, read_bytes);
}

// Header, and the transformations that make 8-bit RGB of every kind of PNG.
bool begin(Reader& r) {
  if (setjmp(png_jmpbuf(r.png)) != 0) return false;
  png_read_info(r.png, r.info);
  const auto width = static_cast<std::int64_t>(png_get_image_width(r.png, r.info));
  if (width * png_get_image_height(r.png, r.info) > kMaxPixels)
    png_error(r.png, "more than 178,956,970 pixels");
  png_set_expand(r.png);    // palettes, 1, 2 and 4 bits, transparency to alpha
  png_set_strip_16(r.png);  // keeps the high byte
  png_set_gray_to_rgb(r.png);
  png_set_strip_alpha(r.png);
  png_set_interlace_handling(r.png);
  png_read_update_info(r.png, r.info);
  if (png_get_rowbytes(r.png, r.info) != static_cast<std::size_t>(width) * 3)
    png_error(r.png, "not 8-bit RGB");
  return true;
}

bool read_rows(Reader& r, png_bytepp rows) {
  if (setjmp(png_jmpbuf(r.png)) != 0) return false;
  png_read_image(r.png, rows);
  png_read_end(r.png, nullptr);
  return true;
}

}  // namespace

Image decode_png(std::span<const std::uint8_t> bytes, const std::string& name) {
  Reader reader;
  reader.next = bytes.data();
  reader.left = bytes.size();
  if (!begin(reader)) fail("{}: {}", name, reader.message);
  Image image(png_get_image_width(reader.png, reader.info), png_get_image_height(reader.png, reader.info));
  std::vector<png_bytep> rows;
  for (std::int64_t y = 0; y < image.height; ++y) rows.push_back(image.row(y));
  if (!read_rows(reader, rows.data())) fail("{}: {}", name, reader.message);
  return image;
}

}  // namespace dcl::data
