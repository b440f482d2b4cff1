#include "tests/support/pictures.h"

#include <cmath>
#include <csetjmp>
#include <cstdio>
#include <cstdlib>
#include <fstream>

// After <cstdio>, which it needs.
#include <jpeglib.h>
#include <png.h>

#include "tensor/check.h"
#include "tensor/random.h"

namespace dcl::test {

using data::Image;

Image drawn_picture(std::int64_t width, std::int64_t height, std::uint64_t seed) {
  tensor::RandomStream random({.seed = seed, .purpose = tensor::Purpose::test, .sample = 4711});
  Image image(width, height);
  double slope[3][2];
  for (auto& s : slope)
    for (double& value : s) value = random.uniform(0.01, 0.1);
  for (std::int64_t y = 0; y < height; ++y)
    for (std::int64_t x = 0; x < width; ++x)
      for (std::int64_t c = 0; c < 3; ++c) {
        const double wave =
            std::sin(slope[c][0] * static_cast<double>(x) + slope[c][1] * static_cast<double>(y));
        image.row(y)[x * 3 + c] = static_cast<std::uint8_t>(128 + 100 * wave + random.uniform(-25, 25));
      }
  return image;
}

namespace {

// Scan scripts of one grey component: DC at half precision, the AC coefficients one by one, then refinements.
std::vector<jpeg_scan_info> grey_script(int scans) {
  std::vector<jpeg_scan_info> script{{1, {0, 0, 0, 0}, 0, 0, 0, 0}};
  for (int k = 1; k < 64; ++k) script.push_back({1, {0, 0, 0, 0}, k, k, 0, 2});
  for (int low : {1, 0})
    for (int k = 1; k < 64 && static_cast<int>(script.size()) < scans; ++k)
      script.push_back({1, {0, 0, 0, 0}, k, k, low + 1, low});
  return script;
}

Bytes row_of(const Image& image, std::int64_t y, JpegKind kind) {
  Bytes row;
  for (std::int64_t x = 0; x < image.width; ++x) {
    const std::uint8_t* pixel = image.row(y) + x * 3;
    if (kind == JpegKind::grey)
      row.push_back(pixel[1]);
    else  // inverted CMYK: 255 - (255 - red) is red
      row.insert(row.end(), pixel, pixel + 3);
    if (kind == JpegKind::cmyk || kind == JpegKind::ycck) row.push_back(255 - 40);
  }
  return row;
}

void set_colors(jpeg_compress_struct& info, const JpegOptions& options) {
  const bool four = options.kind == JpegKind::cmyk || options.kind == JpegKind::ycck;
  info.input_components = options.kind == JpegKind::grey ? 1 : four ? 4 : 3;
  info.in_color_space = options.kind == JpegKind::grey ? JCS_GRAYSCALE : four ? JCS_CMYK : JCS_RGB;
  jpeg_set_defaults(&info);
  if (options.kind == JpegKind::rgb) jpeg_set_colorspace(&info, JCS_RGB);
  if (options.kind == JpegKind::ycck) jpeg_set_colorspace(&info, JCS_YCCK);
  if (options.horizontal != 0) info.comp_info[0].h_samp_factor = options.horizontal;
  if (options.vertical != 0) info.comp_info[0].v_samp_factor = options.vertical;
  info.arith_code = options.arithmetic ? TRUE : FALSE;
}

// A sequential scan for each of `components`.
std::vector<jpeg_scan_info> separate_scans(int components) {
  std::vector<jpeg_scan_info> script;
  for (int i = 0; i < components; ++i) script.push_back({1, {i, 0, 0, 0}, 0, 63, 0, 0});
  return script;
}

}  // namespace

Bytes encode_jpeg(const Image& image, const JpegOptions& options) {
  jpeg_compress_struct info{};
  jpeg_error_mgr errors{};  // ends the program on an error: tests only encode what can be encoded
  info.err = jpeg_std_error(&errors);
  jpeg_create_compress(&info);
  unsigned char* bytes = nullptr;
  unsigned long size = 0;  // NOLINT(google-runtime-int): libjpeg's type
  jpeg_mem_dest(&info, &bytes, &size);
  info.image_width = static_cast<JDIMENSION>(image.width);
  info.image_height = static_cast<JDIMENSION>(image.height);
  set_colors(info, options);
  jpeg_set_quality(&info, options.quality, TRUE);
  info.restart_in_rows = options.restart_rows;
  if (options.progressive) jpeg_simple_progression(&info);
  const auto script =
      options.one_by_one ? separate_scans(info.num_components) : grey_script(options.grey_scans);
  if (options.grey_scans != 0 || options.one_by_one) {
    info.scan_info = script.data();
    info.num_scans = static_cast<int>(script.size());
  }
  jpeg_start_compress(&info, TRUE);
  for (std::int64_t y = 0; y < image.height; ++y) {
    Bytes row = row_of(image, y, options.kind);
    JSAMPROW rows[1] = {row.data()};
    jpeg_write_scanlines(&info, rows, 1);
  }
  jpeg_finish_compress(&info);
  jpeg_destroy_compress(&info);
  Bytes result(bytes, bytes + size);
  std::free(bytes);  // NOLINT(cppcoreguidelines-no-malloc): libjpeg's
  return result;
}

namespace {

void append(png_structp png, png_bytep bytes, std::size_t count) {
  auto* out = static_cast<Bytes*>(png_get_io_ptr(png));
  out->insert(out->end(), bytes, bytes + count);
}

void no_flush(png_structp /*png*/) {}

}  // namespace

Bytes encode_png(std::int64_t width, std::int64_t height, const std::vector<Bytes>& rows,
                 const PngOptions& options) {
  Bytes out;
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, nullptr, nullptr, nullptr);
  png_infop info = png_create_info_struct(png);
  check(setjmp(png_jmpbuf(png)) == 0, "test: libpng cannot write this picture");
  png_set_write_fn(png, &out, append, no_flush);
  png_set_IHDR(png, info, static_cast<png_uint_32>(width), static_cast<png_uint_32>(height), options.bits,
               options.color_type, options.interlaced ? PNG_INTERLACE_ADAM7 : PNG_INTERLACE_NONE,
               PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  if (options.color_type == PNG_COLOR_TYPE_PALETTE) {
    png_color palette[256];
    for (std::size_t i = 0; i < options.palette.size() / 3; ++i)
      palette[i] = {options.palette[3 * i], options.palette[3 * i + 1], options.palette[3 * i + 2]};
    png_set_PLTE(png, info, palette, static_cast<int>(options.palette.size() / 3));
    const png_byte transparent[1] = {0};
    png_set_tRNS(png, info, transparent, 1, nullptr);
  }
  png_write_info(png, info);
  std::vector<png_bytep> pointers;
  for (const Bytes& row : rows)
    pointers.push_back(const_cast<png_bytep>(row.data()));  // libpng takes no const
  png_write_image(png, pointers.data());
  png_write_end(png, nullptr);
  png_destroy_write_struct(&png, &info);
  return out;
}

Bytes encode_png(const Image& image) {
  std::vector<Bytes> rows;
  for (std::int64_t y = 0; y < image.height; ++y)
    rows.emplace_back(image.row(y), image.row(y) + image.width * 3);
  return encode_png(image.width, image.height, rows, {});
}

TemporaryFolder::TemporaryFolder() {
  std::string name = (std::filesystem::temp_directory_path() / "dcl_test_XXXXXX").string();
  check(mkdtemp(name.data()) != nullptr, "test: no temporary folder {}", name);
  path_ = name;
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

void TemporaryFolder::write(const std::string& name, std::span<const std::uint8_t> bytes) const {
  const auto path = path_ / name;
  std::filesystem::create_directories(path.parent_path());
  std::ofstream out(path, std::ios::binary);
  out.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  check(out.good(), "test: cannot write {}", path.string());
}

void TemporaryFolder::write(const std::string& name, std::string_view text) const {
  write(name, std::span(reinterpret_cast<const std::uint8_t*>(text.data()), text.size()));
}

}  // namespace dcl::test
