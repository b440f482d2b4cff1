// Pictures that tests draw, encode and put into folders of their own.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/image.h"

namespace dcl::test {

using Bytes = std::vector<std::uint8_t>;

/// Gradients with noise: another seed gives other pixels, the same seed always the same.
data::Image drawn_picture(std::int64_t width, std::int64_t height, std::uint64_t seed = 0);

enum class JpegKind : std::uint8_t { color, grey, rgb, cmyk, ycck };

struct JpegOptions {
  JpegKind kind = JpegKind::color;
  int quality = 90;
  bool progressive = false;
  int restart_rows = 0;
  int grey_scans = 0;  // not 0: progressive grey in exactly so many scans (65 to 190)
  int horizontal = 0;  // sampling factors of the first component (1 to 4), of the others 1; 0: libjpeg's
  int vertical = 0;
  bool arithmetic = false;  // coding in place of Huffman's
  bool one_by_one = false;  // sequential, a scan for each component
};
/// CMYK kinds write 255 - value of red, green, blue and a K of 40, inverted as Adobe does.
Bytes encode_jpeg(const data::Image& image, const JpegOptions& options = {});

struct PngOptions {
  int color_type = 2;  // PNG's: 0 grey, 2 RGB, 3 palette, 4 grey + alpha, 6 RGB + alpha
  int bits = 8;        // of a sample
  bool interlaced = false;
  Bytes palette;  // of color type 3, [n,3]; with transparency for entry 0
};
/// `rows` are the file's own rows, packed, samples of 16 bits with the high byte first.
Bytes encode_png(std::int64_t width, std::int64_t height, const std::vector<Bytes>& rows,
                 const PngOptions& options);
/// 8-bit RGB.
Bytes encode_png(const data::Image& image);

/// An empty folder that goes away with everything in it.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }
  /// Writes a file, with the folders that it needs.
  void write(const std::string& name, std::span<const std::uint8_t> bytes) const;
  void write(const std::string& name, std::string_view text) const;

 private:
  std::filesystem::path path_;
};

}  // namespace dcl::test
