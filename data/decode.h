// From the bytes of a JPEG or PNG file to pixels, the same as Pillow's convert("RGB") gives.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>

#include "data/image.h"
#include "data/resize.h"

namespace dcl::data {

/// A picture with more pixels than this is refused (as Pillow does: a decompression bomb).
inline constexpr std::int64_t kMaxPixels = 178'956'970;
/// A progressive JPEG with more scans than this is refused: each costs a pass over all coefficients.
inline constexpr int kMaxScans = 100;

/// The format is told by the content, not by the name. JPEG: grey, YCbCr, RGB, CMYK and YCCK (Adobe's,
/// inverted), baseline and progressive. PNG: all kinds; 16-bit samples keep the high byte, palettes are
/// expanded, alpha is dropped. Throws Error "NAME: reason" for anything else and for a damaged file: a JPEG
/// without an end-of-image marker behind its scan data counts as damaged, bytes after that marker are
/// ignored. EXIF orientation is ignored, as in the reference pipeline. May be called from any thread.
Image decode(std::span<const std::uint8_t> bytes, const std::string& name);

/// What of a picture somebody wants, once its width and height are known.
using ChooseBox = std::function<CropBox(std::int64_t width, std::int64_t height)>;

/// Decoded pixels and where in the picture they are from.
struct Part {
  Image image;
  CropBox box;
};

/// Decodes a part of the picture: a box around the one that `choose` wants, with the pixels that decode()
/// gives there. Of a JPEG of one scan it is little larger than that; a PNG and a JPEG of several scans (as
/// all progressive ones are) are decoded whole. Throws for the same files as decode(), whatever the box, and
/// for a box that is empty or leaves the picture; what `choose` throws goes through. The memory of `part` is
/// used again.
void decode_part(std::span<const std::uint8_t> bytes, const std::string& name, const ChooseBox& choose,
                 Part& part);

/// The two formats, for those who know what they have.
void decode_jpeg(std::span<const std::uint8_t> bytes, const std::string& name, const ChooseBox& choose,
                 Part& part);
Image decode_png(std::span<const std::uint8_t> bytes, const std::string& name);

}  // namespace dcl::data
