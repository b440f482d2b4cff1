// A picture that Cairo draws: what of it contact sheets need.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "data/image.h"

struct _cairo;
struct _cairo_surface;

namespace dcl::apps {

/// In pixels.
struct Rect {
  std::int64_t left = 0;
  std::int64_t top = 0;
  std::int64_t width = 0;
  std::int64_t height = 0;
};

class Canvas {
 public:
  static constexpr std::int64_t kMostSide = 32'767;  // Cairo's

  /// White. Throws Error where there is no memory for it.
  Canvas(std::int64_t width, std::int64_t height);

  /// Every pixel of `image` over a rectangle of place.width / image.width by place.height / image.height.
  void image(const data::Image& image, const Rect& place);
  /// A line of this width, its middle 1 px inside of the edges of `rect`. `color` is 0xRRGGBB.
  void frame(const Rect& rect, std::uint32_t color, double width);
  /// Text has to be UTF-8: see displayable().
  void text(const std::string& line, std::int64_t left, std::int64_t baseline, double size,
            std::uint32_t color);
  double width_of(const std::string& line, double size) const;

  /// As a PNG file. Throws Error if anything could not be drawn.
  std::vector<std::uint8_t> png() const;

 private:
  struct Destroy {
    void operator()(_cairo* context) const;
    void operator()(_cairo_surface* surface) const;
  };

  void set_color(std::uint32_t rgb);

  std::unique_ptr<_cairo_surface, Destroy> surface_;
  std::unique_ptr<_cairo, Destroy> context_;
};

/// `text` with U+FFFD for every byte that is not UTF-8, such as names of files may have.
std::string displayable(const std::string& text);
/// `text`, or its beginning and end around "…", at most `width` wide.
std::string elided(const Canvas& canvas, const std::string& text, double size, std::int64_t width);
/// The elements in lines at most `width` wide, with `separator` and a space between those of a line; only an
/// element that is wider itself is broken, at its spaces.
std::vector<std::string> wrapped(const Canvas& canvas, const std::vector<std::string>& elements,
                                 const std::string& separator, double size, std::int64_t width);
/// What spaces part.
std::vector<std::string> words_of(const std::string& text);

}  // namespace dcl::apps
