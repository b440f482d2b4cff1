// The inner loops of the operations on single pixels, compiled for several instruction sets; the best one for
// this processor is chosen at run time. They work on `count` pixels of (red, green, blue), in place where
// there is no `out`, and give the same bytes on any processor: the arithmetic is Pillow's, in its mixture of
// float and double.
#pragma once

#include <cstddef>
#include <cstdint>

namespace dcl::data {

struct ColorKernels {
  /// value = from + factor · (value - from), truncated and clipped to 8 bits, for each of `values` single
  /// values.
  void (*blend_with)(std::uint8_t* pixels, std::size_t values, int from, float factor);
  /// The same with each pixel's own luma.
  void (*blend_with_luma)(std::uint8_t* pixels, std::size_t count, float factor);
  void (*to_luma)(std::uint8_t* pixels, std::size_t count);
  std::uint64_t (*sum_of_luma)(const std::uint8_t* pixels, std::size_t count);
  /// H += turn (modulo 256) in 8-bit HSV.
  void (*turn_hue)(std::uint8_t* pixels, std::size_t count, std::uint8_t turn);
  /// The last pixel becomes the first.
  void (*reverse)(std::uint8_t* pixels, std::size_t count);
  /// out = (value / 255 - mean) / deviation, each step rounded to float; mean and deviation [3]; out [count,
  /// 3].
  void (*normalise)(const std::uint8_t* pixels, std::size_t count, const float* mean, const float* deviation,
                    float* out);
  const char* target;  // Highway's name of the instruction set
};

const ColorKernels& color_kernels();

}  // namespace dcl::data
