// The inner loops of resizing and blurring, compiled for several instruction sets; the best one for this
// processor is chosen at run time. All is integer arithmetic: the same bytes on any processor.
#pragma once

#include <cstdint>

namespace dcl::data {

/// Bits behind the point of a resampling weight, and how many of them are in its lower part: the weights are
/// multiplied in two parts of 16 bits each, which processors do in pairs.
inline constexpr int kWeightBits = 22;
inline constexpr int kLowerBits = 11;
/// Rows of a picture that are resampled across at once.
inline constexpr std::int64_t kRowsAtOnce = 4;
/// Bytes that resample_rows may read behind a row's last pixel.
inline constexpr std::int64_t kReadBeyond = 16;
/// The largest radius that box_row and box_column take: the bytes of such a box are summed in signed numbers
/// of 16 bits.
inline constexpr std::int64_t kMostRadius = 63;
static_assert((2 * kMostRadius + 1) * 255 <= INT16_MAX);

/// The weights of two neighbouring pixels, in parts: weight = upper · 2^11 + lower.
struct WeightPair {
  std::int16_t upper[2];
  std::int16_t lower[2];
};

/// One output value of a filter: Σ_k weights[k] · in[first + k], k < count; the pairs are the same weights,
/// filled up with a zero.
struct Taps {
  const std::int32_t* weights;
  const WeightPair* pairs;
  std::int64_t first;
  std::int64_t count;
};

struct FilterKernels {
  /// Resamples kRowsAtOnce rows of RGB pixels to `width` pixels each. Behind the last pixel that is used,
  /// kReadBeyond bytes of any value can be read; one byte behind each row of `out` is overwritten.
  void (*resample_rows)(const std::uint8_t* const* rows, const Taps* taps, std::int64_t width,
                        std::uint8_t* const* out);
  /// out[i] = the weighted sum of rows first … first + count - 1, `stride` bytes apart, for i < n.
  void (*resample_column)(const std::uint8_t* in, std::int64_t stride, const Taps& taps, std::int64_t n,
                          std::uint8_t* out);
  /// One box pass over a row of `n` bytes that has (radius + 1) · step more on either side:
  /// out[i] = (weight · Σ_|k| <= radius in[i + k·step] + edge · the two beyond) / 2^24, rounded. weight and
  /// edge are below 2^24 + 1, their sum over the box is 2^24.
  void (*box_row)(const std::uint8_t* in, std::int64_t n, std::int64_t step, std::int64_t radius,
                  std::uint32_t weight, std::uint32_t edge, std::uint8_t* out);
  /// A step of the same down the columns: sums += enters - leaves, out = weight · sums + edge · (leaves +
  /// beyond).
  void (*box_column)(const std::uint8_t* leaves, const std::uint8_t* enters, const std::uint8_t* beyond,
                     std::int64_t n, std::uint32_t weight, std::uint32_t edge, std::uint16_t* sums,
                     std::uint8_t* out);
  const char* target;  // Highway's name of the instruction set
};

const FilterKernels& filter_kernels();

}  // namespace dcl::data
