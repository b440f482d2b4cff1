// The inner loops of resizing and blurring, compiled for several instruction sets; the best one for this
// processor is chosen at run time. All is integer arithmetic: the same bytes on any processor.
#pragma once

#include <cstdint>

namespace dcl::data {

/// Bits behind the point of a resampling weight.
inline constexpr int kWeightBits = 22;
/// Rows of a picture that are resampled across at once.
inline constexpr std::int64_t kRowsAtOnce = 4;

/// One output value of a filter: Σ_k weights[k] · in[first + k], k < count.
struct Taps {
  const std::int32_t* weights;
  std::int64_t first;
  std::int64_t count;
};

struct FilterKernels {
  /// Resamples kRowsAtOnce rows of pixels to `width` pixels each. in [columns, kRowsAtOnce, 4] bytes, of
  /// which the fourth is not looked at; out[r] points to row r, [width, 3].
  void (*resample_rows)(const std::uint8_t* in, const Taps* taps, std::int64_t width,
                        std::uint8_t* const* out);
  /// out[i] = the weighted sum of rows first … first + count - 1 of in [rows, n], for i < n.
  void (*resample_column)(const std::uint8_t* in, const Taps& taps, std::int64_t n, std::uint8_t* out);
  /// One box pass over a row of `n` bytes that has (radius + 1) · step more on either side:
  /// out[i] = (weight · Σ_|k| <= radius in[i + k·step] + edge · the two beyond) / 2^24, rounded. `sums` holds
  /// n numbers.
  void (*box_row)(const std::uint8_t* in, std::int64_t n, std::int64_t step, std::int64_t radius,
                  std::uint32_t weight, std::uint32_t edge, std::uint32_t* sums, std::uint8_t* out);
  /// A step of the same down the columns: sums += enters - leaves, out = weight · sums + edge · (leaves +
  /// beyond).
  void (*box_column)(const std::uint8_t* leaves, const std::uint8_t* enters, const std::uint8_t* beyond,
                     std::int64_t n, std::uint32_t weight, std::uint32_t edge, std::uint32_t* sums,
                     std::uint8_t* out);
};

const FilterKernels& filter_kernels();

}  // namespace dcl::data
