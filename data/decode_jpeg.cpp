// libjpeg reports errors by longjmp: between setjmp and the calls into it no object with a destructor may
// live.
#include <algorithm>
#include <array>
#include <csetjmp>
#include <cstdio>
#include <cstring>
#include <utility>
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

// The source holds the whole file: who asks for more has one that ends too early. (libjpeg's own memory
// source would make up an end-of-image marker; to "suspend" is not allowed while scanlines are skipped.)
void no_operation(j_decompress_ptr /*info*/) {}
boolean no_more(j_decompress_ptr info) {
  give_up(reinterpret_cast<j_common_ptr>(info), "the file is truncated");
}
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

using AllocateSmall = decltype(jpeg_memory_mgr::alloc_small);

struct Decoder {
  jpeg_decompress_struct info{};
  ErrorManager errors{};
  jpeg_source_mgr source{};
  jpeg_progress_mgr progress{};
  AllocateSmall allocate_small = nullptr;  // libjpeg's own

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
    info.client_data = this;
    allocate_small = std::exchange(info.mem->alloc_small, for_this_picture);
  }
  ~Decoder() { jpeg_destroy_decompress(&info); }
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;

  // libjpeg keeps tables from one picture to the next, for files that leave theirs out: a damaged file would
  // look different behind each other one. From the pool of a picture's own they go with it.
  static void* for_this_picture(j_common_ptr info, int /*pool*/, std::size_t bytes) {
    return static_cast<Decoder*>(info->client_data)->allocate_small(info, JPOOL_IMAGE, bytes);
  }
  // Also after a picture that was not finished: where memory gave out, or an error came up.
  void forget_picture() {
    jpeg_abort(reinterpret_cast<j_common_ptr>(&info));
    std::fill(std::begin(info.quant_tbl_ptrs), std::end(info.quant_tbl_ptrs), nullptr);
    std::fill(std::begin(info.dc_huff_tbl_ptrs), std::end(info.dc_huff_tbl_ptrs), nullptr);
    std::fill(std::begin(info.ac_huff_tbl_ptrs), std::end(info.ac_huff_tbl_ptrs), nullptr);
  }
};

// Reads the header and decides on the output's colours. False: `errors.message` says why.
bool begin(Decoder& d, std::span<const std::uint8_t> bytes) {
  if (setjmp(d.errors.jump) != 0) return false;
  auto* common = reinterpret_cast<j_common_ptr>(&d.info);
  d.forget_picture();
  d.source.next_input_byte = bytes.data();
  d.source.bytes_in_buffer = bytes.size();
  jpeg_read_header(&d.info, TRUE);
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

// A stuffed 0xFF or a restart marker, by the byte behind 0xFF.
bool belongs_to_data(int code) { return code == 0 || (code >= JPEG_RST0 && code <= JPEG_RST0 + 7); }

// The next marker that does not belong to the scan's data is the end of the image: nothing behind the current
// row could make the file a damaged one any more.
bool ends_here(const Decoder& d) {
  if (!belongs_to_data(d.info.unread_marker)) return d.info.unread_marker == JPEG_EOI;
  const std::uint8_t* at = d.source.next_input_byte;
  const std::uint8_t* const end = at + d.source.bytes_in_buffer;
  while ((at = static_cast<const std::uint8_t*>(std::memchr(at, 0xFF, static_cast<std::size_t>(end - at)))) !=
         nullptr) {
    while (at < end && *at == 0xFF) ++at;  // any number of fill bytes
    if (at == end) return false;
    if (!belongs_to_data(*at)) return *at == JPEG_EOI;
  }
  return false;
}

// Behind the box: the rest is read only where it may hold something that makes the file a damaged one.
void finish(Decoder& d, std::uint8_t* scratch) {
  const bool all_read = jpeg_has_multiple_scans(&d.info) == TRUE;  // before the first row
  if (!all_read && !ends_here(d)) {
    while (d.info.output_scanline < d.info.output_height) jpeg_read_scanlines(&d.info, &scratch, 1);
    jpeg_finish_decompress(&d.info);
  }
  d.forget_picture();
}

// Columns in whole MCUs around those of `box`, and one more at each side: upsampling looks at the neighbours
// of a pixel, and takes the first column decoded for the picture's edge. Likewise the rows above.
void start_part(Decoder& d, CropBox& box) {
  const std::int64_t mcu_width = std::int64_t{d.info.max_h_samp_factor} * DCTSIZE;
  const std::int64_t mcu_height = std::int64_t{d.info.max_v_samp_factor} * DCTSIZE;
  const std::int64_t left = std::max<std::int64_t>(0, box.left / mcu_width - 1) * mcu_width;
  const std::int64_t right = ((box.left + box.width - 1) / mcu_width + 2) * mcu_width;
  const std::int64_t top = std::max<std::int64_t>(0, box.top / mcu_height - 1) * mcu_height;
  box = {.top = top, .left = 0, .height = box.top + box.height - top, .width = d.info.image_width};
  if (left > 0 || right < box.width) {
    auto offset = static_cast<JDIMENSION>(left);
    auto width = static_cast<JDIMENSION>(std::min(right, box.width) - left);
    jpeg_crop_scanline(&d.info, &offset, &width);
    box.left = offset;
    box.width = width;
  }
  if (top > 0) jpeg_skip_scanlines(&d.info, static_cast<JDIMENSION>(top));
}

// Chooses what to decode around `box`, and makes it the box.
bool start(Decoder& d, CropBox& box) {
  if (setjmp(d.errors.jump) != 0) return false;
  jpeg_start_decompress(&d.info);
  // Several scans: that was most of the work, and where one of them is damaged blocks are smoothed towards
  // their neighbours, which a part would not have.
  if (jpeg_has_multiple_scans(&d.info) == FALSE)
    start_part(d, box);
  else
    box = {.top = 0, .left = 0, .height = d.info.image_height, .width = d.info.image_width};
  return true;
}

// The box's rows, as libjpeg gives them, `stride` bytes each, and one more for rows that nobody wants.
bool read_rows(Decoder& d, const CropBox& box, std::uint8_t* rows, std::size_t stride,
               std::uint8_t* scratch) {
  if (setjmp(d.errors.jump) != 0) return false;
  for (std::int64_t y = 0; y < box.height;) {
    std::array<JSAMPROW, 16> at;
    const std::int64_t count = std::min<std::int64_t>(box.height - y, 16);
    for (std::int64_t i = 0; i < count; ++i) at[i] = rows + (y + i) * stride;
    y += jpeg_read_scanlines(&d.info, at.data(), static_cast<JDIMENSION>(count));
  }
  finish(d, scratch);
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

void decode_jpeg(std::span<const std::uint8_t> bytes, const std::string& name, const ChooseBox& choose,
                 Part& part) {
  // Making a decompressor costs as much as a small picture: one a thread, used again.
  thread_local Decoder decoder;
  thread_local std::vector<std::uint8_t> raw;
  const auto damaged = [&] { fail("{}: {}", name, decoder.errors.message); };
  if (!begin(decoder, bytes)) damaged();
  const std::int64_t width = decoder.info.image_width;
  const std::int64_t height = decoder.info.image_height;
  CropBox box = choose(width, height);
  check_box(box, width, height);
  if (!start(decoder, box)) damaged();
  Image& image = part.image;
  image.resize(box.width, box.height);
  part.box = box;
  const auto components = static_cast<std::size_t>(decoder.info.num_components);
  const auto stride = static_cast<std::size_t>(box.width) * components;
  const auto pixels = static_cast<std::size_t>(box.width * box.height);
  // A row for what lies behind the box, and all of them where they are no RGB.
  raw.resize(stride + (components == 3 ? 0 : pixels * components));
  std::uint8_t* const rows = components == 3 ? image.pixels.data() : raw.data() + stride;
  if (!read_rows(decoder, box, rows, stride, raw.data())) damaged();
  if (components == 1) from_grey(rows, image.pixels.data(), pixels);
  if (components == 4) from_cmyk(rows, image.pixels.data(), pixels);
  keep_if_small(raw);
}

}  // namespace dcl::data
