#include "tensor/cpu/tiles/pack_block.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "tensor/cpu/tiles/row_kernels.h"
#include "tensor/cpu/vector_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tensor/cpu/tiles/pack_block.cpp"
#include <hwy/foreach_target.h>
// foreach_target.h comes first: it includes this file again for every instruction set.
#include <hwy/highway.h>

#include "tensor/cpu/tiles/split-inl.h"

HWY_BEFORE_NAMESPACE();
namespace dcl::tensor::cpu {
namespace HWY_NAMESPACE {
namespace {  // several files have kernels of these names

using Bits = std::uint16_t;

// Rows or columns of 32 numbers, of up to three parts, in the first-level cache.
struct Lines {
  alignas(64) std::array<Bits, 3 * kPackedBlock> values;

  explicit Lines(const PackedBlock& block) {
    if (block.depth < kBlockDepth || block.cols < kTileCols) values.fill(0);
  }
  HWY_INLINE void set(std::int64_t line, const float* x, std::int64_t count, std::int64_t parts) {
    Bits* const to = values.data() + line * kBlockDepth;
    if (parts == 1)
      round(x, count, to);
    else
      split(x, count, to, kPackedBlock);
  }
  const Bits* part(std::int64_t i) const { return values.data() + i * kPackedBlock; }
};

// Pairs of numbers of 16 columns [16][32] as rows of pairs [16 pairs][16 columns].
#if HWY_TARGET == HWY_SCALAR

void transpose_pairs(const Bits* columns, Bits* out) {
  for (std::int64_t p = 0; p < 16; ++p)
    for (std::int64_t j = 0; j < 16; ++j)
      std::copy_n(columns + j * kBlockDepth + 2 * p, 2, out + p * 32 + 2 * j);
}

#else

void transpose_pairs(const Bits* columns, Bits* out) {
  namespace hn = hwy::HWY_NAMESPACE;
  const hn::FixedTag<Bits, 8> words;
  const hn::FixedTag<std::uint32_t, 4> pairs;
  const hn::FixedTag<std::uint64_t, 2> quads;
  const auto load = [&](const Bits* from) { return hn::BitCast(pairs, hn::LoadU(words, from)); };
  for (std::int64_t j = 0; j < 16; j += 4)
    for (std::int64_t p = 0; p < 16; p += 4) {
      const Bits* const from = columns + j * kBlockDepth + 2 * p;
      const auto a = load(from);
      const auto b = load(from + kBlockDepth);
      const auto c = load(from + 2 * kBlockDepth);
      const auto d = load(from + 3 * kBlockDepth);
      const auto low_ab = hn::BitCast(quads, hn::InterleaveLower(pairs, a, b));  // a0 b0 a1 b1
      const auto low_cd = hn::BitCast(quads, hn::InterleaveLower(pairs, c, d));
      const auto high_ab = hn::BitCast(quads, hn::InterleaveUpper(pairs, a, b));
      const auto high_cd = hn::BitCast(quads, hn::InterleaveUpper(pairs, c, d));
      Bits* const to = out + p * 32 + 2 * j;
      hn::StoreU(hn::BitCast(words, hn::InterleaveLower(quads, low_ab, low_cd)), words, to);
      hn::StoreU(hn::BitCast(words, hn::InterleaveUpper(quads, low_ab, low_cd)), words, to + 32);
      hn::StoreU(hn::BitCast(words, hn::InterleaveLower(quads, high_ab, high_cd)), words, to + 64);
      hn::StoreU(hn::BitCast(words, hn::InterleaveUpper(quads, high_ab, high_cd)), words, to + 96);
    }
}

#endif

void columns(const float* x, std::int64_t column_stride, const PackedBlock& block) {
  Lines lines(block);
  for (std::int64_t j = 0; j < block.cols; ++j) lines.set(j, x + j * column_stride, block.depth, block.parts);
  for (std::int64_t part = 0; part < block.parts; ++part)
    for (std::int64_t half = 0; half < 2; ++half)
      transpose_pairs(lines.part(part) + half * 16 * kBlockDepth,
                      bits_of(block.out) + part * block.part_stride + half * kHalfBlock);
}

HWY_INLINE void interleave(const Bits* HWY_RESTRICT even, const Bits* HWY_RESTRICT odd,
                           Bits* HWY_RESTRICT out) {
  for (std::int64_t j = 0; j < 16; ++j) {
    out[2 * j] = even[j];
    out[2 * j + 1] = odd[j];
  }
}

void rows(const float* const* x, const PackedBlock& block) {
  Lines lines(block);
  for (std::int64_t p = 0; p < block.depth; ++p) lines.set(p, x[p], block.cols, block.parts);
  for (std::int64_t part = 0; part < block.parts; ++part)
    for (std::int64_t half = 0; half < 2; ++half) {
      const Bits* even = lines.part(part) + half * 16;
      Bits* out = bits_of(block.out) + part * block.part_stride + half * kHalfBlock;
      for (std::int64_t p = 0; p < kBlockDepth / 2; ++p, even += 2 * kTileCols, out += 32)
        interleave(even, even + kTileCols, out);
    }
}

const PackKernels& describe() {
  static constexpr PackKernels all{columns, rows};
  return all;
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace dcl::tensor::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace dcl::tensor::cpu {

DCL_VECTOR_DISPATCH(describe, const PackKernels& pack_kernels())

void pack_columns(const float* x, std::int64_t column_stride, const PackedBlock& block) {
  pack_kernels().columns(x, column_stride, block);
}

void pack_rows(const float* const* rows, const PackedBlock& block) { pack_kernels().rows(rows, block); }

}  // namespace dcl::tensor::cpu
#endif  // HWY_ONCE
