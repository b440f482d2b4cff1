// libjpeg reports errors by longjmp: between setjmp and the calls into it no object with a destructor may
// live.
#include <algorithm>
#include <csetjmp>
#include <cstdio>
#include <vector>

// After <cstdio>, which it needs.
#include <jpeglib.h>

#include "data/decode.h"
#include "tensor/check.h"

namespace dcl::data {

namespace {

struct ErrorManager {
  jpeg_error_mgr base;  // first: libjpeg hands back a pointer to it
  std::jmp_buf jump;
  char message[JMSG_LENGTH_MAX];
};

[[noreturn]] void on_error(j_common_ptr info) {
  auto* errors = reinterpret_cast<ErrorManager*>(info->err);
  errors->base.format_message(info, errors->message);
  std::longjmp(errors->jump, 1);
}

[[noreturn]] void give_up(j_common_ptr info, const char* message) {
  auto* errors = reinterpret_cast<ErrorManager*>(info->err);
  std::snprintf(errors->message, sizeof errors->message, "%s", message);
  std::longjmp(errors->jump, 1);
}

// A source over the whole file that has no more to give: libjpeg then "suspends", which we take for what it
// is, a file that ends too early. (libjpeg's own memory source would make up an end-of-image marker.)
void no_operation(j_decompress_ptr /*info*/) {}
boolean no_more(j_decompress_ptr /*info*/) { return FALSE; }
void skip(j_decompress_ptr info, long count) {
  if (count <= 0) return;
  const auto bytes = std::min<std::size_t>(static_cast<std::size_t>(count), info->src->bytes_in_buffer);
  info->src->next_input_byte += bytes;
  info->src->bytes_in_buffer -= bytes;
}

// A damaged stretch of data is tolerated, as Pillow tolerates it; nothing is printed.
void no_message(j_common_ptr /*info*/) {}

void count_scans(j_common_ptr info) {
  const auto* decoder = reinterpret_cast<j_decompress_ptr>(info);
  if (decoder->input_scan_number > kMaxScans) give_up(info, "more than 100 scans");
}

struct Decoder {
  jpeg_decompress_struct info{};
  ErrorManager errors{};
  jpeg_source_mgr source{};
  jpeg_progress_mgr progress{};

  Decoder() {
    info.err = jpeg_std_error(&errors.base);
    errors.base.error_exit = on_error;
    errors.base.output_message = no_message;
    jpeg_create_decompress(&info);
    source.init_source = no_operation;
    source.fill_input_buffer = no_more;
    source.skip_input_data = skip;
    source.resync_to_restart = jpeg_resync_to_restart;
    source.term_source = no_operation;
    info.src = &source;
    progress.progress_monitor = count_scans;
    info.progress = &progress;
  }
  ~Decoder() { jpeg_destroy_decompress(&info); }
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;
};

constexpr const char* kTruncated = "the file is truncated";

// Reads the header and decides on the output's colours. False: `errors.message` says why.
bool begin(Decoder& d, std::span<const std::uint8_t> bytes) {
  if (setjmp(d.errors.jump) != 0) return false;
  auto* common = reinterpret_cast<j_common_ptr>(&d.info);
  jpeg_abort(common);  // where memory gave out between header and rows, the last picture is still open
  d.source.next_input_byte = bytes.data();
  d.source.bytes_in_buffer = bytes.size();
  if (jpeg_read_header(&d.info, TRUE) == JPEG_SUSPENDED) give_up(common, kTruncated);
  if (static_cast<std::int64_t>(d.info.image_width) * d.info.image_height > kMaxPixels)
    give_up(common, "more than 178,956,970 pixels");
  switch (d.info.num_components) {
    case 1:
      d.info.out_color_space = JCS_GRAYSCALE;
      break;
    case 3:
      d.info.out_color_space = JCS_RGB;
      break;
    case 4:
      d.info.out_color_space = JCS_CMYK;
      break;
    default:
      give_up(common, "not a picture of 1, 3 or 4 components");
  }
  return true;
}

// All rows, as libjpeg gives them, `stride` bytes each.
bool read_rows(Decoder& d, std::uint8_t* rows, std::size_t stride) {
  if (setjmp(d.errors.jump) != 0) return false;
  auto* common = reinterpret_cast<j_common_ptr>(&d.info);
  if (jpeg_start_decompress(&d.info) == FALSE) give_up(common, kTruncated);
  while (d.info.output_scanline < d.info.output_height) {
    JSAMPROW row = rows + d.info.output_scanline * stride;
    if (jpeg_read_scanlines(&d.info, &row, 1) == 0) give_up(common, kTruncated);
  }
  if (jpeg_finish_decompress(&d.info) == FALSE) give_up(common, kTruncated);
  return true;
}

// Pillow's conversion of (inverted, as Adobe writes it) CMYK.
void from_cmyk(const std::uint8_t* cmyk, std::uint8_t* rgb, std::size_t pixels) {
  for (std::size_t i = 0; i < pixels; ++i, cmyk += 4, rgb += 3) {
    const int black = cmyk[3];  // 255 - K
    for (int c = 0; c < 3; ++c) {
      const int product = (255 - cmyk[c]) * black + 128;
      rgb[c] = static_cast<std::uint8_t>(black - ((product + (product >> 8)) >> 8));
    }
  }
}

void from_grey(const std::uint8_t* grey, std::uint8_t* rgb, std::size_t pixels) {
  for (std::size_t i = 0; i < pixels; ++i, rgb += 3) rgb[0] = rgb[1] = rgb[2] = grey[i];
}

}  // namespace

Image decode_jpeg(std::span<const std::uint8_t> bytes, const std::string& name) {
  // Making a decompressor costs as much as a small picture: one a thread, used again.
  thread_local Decoder decoder;
  thread_local std::vector<std::uint8_t> raw;
  const auto damaged = [&] { fail("{}: {}", name, decoder.errors.message); };
  if (!begin(decoder, bytes)) damaged();
  Image image(decoder.info.image_width, decoder.info.image_height);
  const auto components = static_cast<std::size_t>(decoder.info.num_components);
  const auto pixels = static_cast<std::size_t>(image.width * image.height);
  std::uint8_t* rows = image.pixels.data();
  if (components != 3) {
    raw.resize(pixels * components);
    rows = raw.data();
  }
  if (!read_rows(decoder, rows, static_cast<std::size_t>(image.width) * components)) damaged();
  if (components == 1) from_grey(raw.data(), image.pixels.data(), pixels);
  if (components == 4) from_cmyk(raw.data(), image.pixels.data(), pixels);
  return image;
}

}  // namespace dcl::data
