#include "data/scenes/encode.h"

#include <array>
#include <csetjmp>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>

#include <jpeglib.h>
#include <png.h>

#include "tensor/check.h"

namespace dcl::data::scenes {
namespace {

struct JpegErrors {
  jpeg_error_mgr manager;  // first, so that libjpeg's pointer to it is a pointer to this
  std::jmp_buf jump;
  std::array<char, JMSG_LENGTH_MAX> message;
};

void on_jpeg_error(j_common_ptr info) {
  auto* errors = reinterpret_cast<JpegErrors*>(info->err);
  info->err->format_message(info, errors->message.data());
  std::longjmp(errors->jump, 1);
}

struct Encoded {
  unsigned char* bytes = nullptr;
  unsigned long size = 0;  // NOLINT(google-runtime-int): libjpeg's type
};

// Nothing here has a destructor: libjpeg reports errors by a long jump.
bool encode(const std::uint8_t* rgb, int width, int height, int quality, Encoded& out, JpegErrors& errors) {
  jpeg_compress_struct info{};
  info.err = jpeg_std_error(&errors.manager);
  errors.manager.error_exit = on_jpeg_error;
  if (setjmp(errors.jump) != 0) {
    jpeg_destroy_compress(&info);
    return false;
  }
  jpeg_create_compress(&info);
  jpeg_mem_dest(&info, &out.bytes, &out.size);
  info.image_width = static_cast<JDIMENSION>(width);
  info.image_height = static_cast<JDIMENSION>(height);
  info.input_components = 3;
  info.in_color_space = JCS_RGB;
  jpeg_set_defaults(&info);
  jpeg_set_quality(&info, quality, TRUE);
  info.dct_method = JDCT_ISLOW;  // the same bytes with and without vector instructions
  jpeg_start_compress(&info, TRUE);
  while (info.next_scanline < info.image_height) {
    auto* row = const_cast<JSAMPLE*>(rgb + 3 * static_cast<std::size_t>(width) * info.next_scanline);
    jpeg_write_scanlines(&info, &row, 1);
  }
  jpeg_finish_compress(&info);
  jpeg_destroy_compress(&info);
  return true;
}

// PASCAL VOC: the bits of an index, from the lowest, are dealt to the high bits of red, green and blue.
std::array<std::uint8_t, 256 * 3> voc_palette() {
  std::array<std::uint8_t, 256 * 3> palette{};
  for (unsigned index = 0; index < 256; ++index)
    for (unsigned bit = 0; bit < 8; ++bit)
      palette[3 * index + bit % 3] |= static_cast<std::uint8_t>(((index >> bit) & 1U) << (7 - bit / 3));
  return palette;
}

void check_size(const char* what, std::size_t values, std::size_t channels, int width, int height) {
  check(width > 0 && height > 0 &&
            values == channels * static_cast<std::size_t>(width) * static_cast<std::size_t>(height),
        "{}: {} values do not make a picture of {}x{}", what, values, width, height);
}

}  // namespace

std::vector<std::uint8_t> encode_jpeg(std::span<const std::uint8_t> rgb, int width, int height, int quality) {
  check_size("encode_jpeg", rgb.size(), 3, width, height);
  check(1 <= quality && quality <= 100, "encode_jpeg: quality is {}, must be 1 to 100", quality);
  JpegErrors errors{};
  Encoded out;
  const bool done = encode(rgb.data(), width, height, quality, out, errors);
  const std::unique_ptr<unsigned char, decltype(&std::free)> owner(out.bytes, &std::free);
  check(done, "encode_jpeg: {}", errors.message.data());
  return {out.bytes, out.bytes + out.size};
}

std::vector<std::uint8_t> encode_mask_png(std::span<const std::uint8_t> indices, int width, int height) {
  check_size("encode_mask_png", indices.size(), 1, width, height);
  static const auto palette = voc_palette();
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  image.width = static_cast<png_uint_32>(width);
  image.height = static_cast<png_uint_32>(height);
  image.format = PNG_FORMAT_RGB_COLORMAP;
  image.colormap_entries = 256;
  std::vector<std::uint8_t> bytes(PNG_IMAGE_PNG_SIZE_MAX(image));
  png_alloc_size_t size = bytes.size();
  const int done =
      png_image_write_to_memory(&image, bytes.data(), &size, 0, indices.data(), width, palette.data());
  check(done != 0, "encode_mask_png: {}", image.message);
  bytes.resize(size);
  return bytes;
}

}  // namespace dcl::data::scenes
