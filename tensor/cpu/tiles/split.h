// Numbers as bfloat16: rounded to one, or split into three whose sum is the float32,
//
//   x = hi + mid + lo,   hi = bf16(x), mid = bf16(x − hi), lo = bf16(x − hi − mid)
//
// so that a float32 product is a sum of bfloat16 ones with float32's accuracy (Henry, Tang, Heinecke,
// "Leveraging the bfloat16 Artificial Intelligence Datatype For Higher-Precision Computations", 2019). An
// infinity becomes NaN: infinity − infinity.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "tensor/cpu/tiles/tile_kernel.h"

namespace dcl::tensor::cpu {

/// Parts that a number of type T is split into: float 3, bfloat16 1.
template <class T>
inline constexpr std::int64_t kParts = 1;
template <>
inline constexpr std::int64_t kParts<float> = 3;

/// The parts of both operands whose products count; the three that are left out are below float32's
/// precision. Small ones come before large ones as far as neighbours share a part, which then stays in its
/// tiles: 7 pairs of tiles are loaded for 6 products, not 12.
struct PartPair {
  std::int64_t a, b;
};
template <class T>
inline constexpr std::array<PartPair, 1> kPartPairs{{{0, 0}}};
template <>
inline constexpr std::array<PartPair, 6> kPartPairs<float>{{{2, 0}, {1, 0}, {1, 1}, {0, 1}, {0, 2}, {0, 0}}};

/// Calls f(block, pair) in the order in which the products are summed. Of a block all products before the
/// next one, so that its numbers are fetched once.
template <class T, class F>
void for_each_product(std::int64_t blocks, F&& f) {
  for (std::int64_t block = 0; block < blocks; ++block)
    for (const PartPair& pair : kPartPairs<T>) f(block, pair);
}

/// out[i] = bf16(x[i]).
void round_to_bfloat16(const float* x, std::int64_t n, bfloat16* out);
void widen_bfloat16(const bfloat16* x, std::int64_t n, float* out);
/// out[part·part_stride + i].
void split_to_bfloat16(const float* x, std::int64_t n, bfloat16* out, std::int64_t part_stride);

/// `count` runs of `width` <= 32 numbers, x_stride apart, as blocks of 32 that lie out_stride apart and end
/// in zeros; each part part_stride behind the one before.
struct BlockRuns {
  std::int64_t count, width, x_stride, out_stride, part_stride;
};
void write_blocks(const float* x, const BlockRuns& runs, bfloat16* out);
/// The same of numbers rounded, not split.
void round_blocks(const float* x, const BlockRuns& runs, bfloat16* out);
void write_blocks(const bfloat16* x, const BlockRuns& runs, bfloat16* out);

}  // namespace dcl::tensor::cpu
