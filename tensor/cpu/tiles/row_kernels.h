// The loops of split.h, transpose.h and pack_block.h on bits, compiled for several instruction sets; the best
// one for this processor is chosen at run time.
#pragma once

#include <cstdint>

#include "tensor/cpu/tiles/pack_block.h"
#include "tensor/cpu/tiles/split.h"

namespace dcl::tensor::cpu {

struct SplitKernels {
  void (*round)(const float* x, std::int64_t n, std::uint16_t* out);
  void (*widen)(const std::uint16_t* x, std::int64_t n, float* out);
  void (*split)(const float* x, std::int64_t n, std::uint16_t* out, std::int64_t part_stride);
  void (*split_blocks)(const float* x, const BlockRuns& runs, std::uint16_t* out);
  void (*round_blocks)(const float* x, const BlockRuns& runs, std::uint16_t* out);
};
const SplitKernels& split_kernels();

struct TransposeKernels {
  void (*transpose)(const std::uint16_t* const* rows, std::int64_t cols, std::uint16_t* out);
  void (*interleave)(const std::uint16_t* const* rows, std::int64_t cols, std::uint16_t* out,
                     std::int64_t chunk_stride);
  void (*pair)(const std::uint16_t* even, const std::uint16_t* odd, std::int64_t cols, std::uint16_t* out);
  void (*pair_later)(const std::uint16_t* pairs, std::int64_t count, std::uint16_t* out);
};
const TransposeKernels& transpose_kernels();

struct PackKernels {
  void (*columns)(const float* x, std::int64_t column_stride, const PackedBlock& block);
  void (*rows)(const float* const* rows, const PackedBlock& block);
};
const PackKernels& pack_kernels();

// A bfloat16 is its bits.
inline std::uint16_t* bits_of(bfloat16* x) { return reinterpret_cast<std::uint16_t*>(x); }
inline const std::uint16_t* bits_of(const bfloat16* x) { return reinterpret_cast<const std::uint16_t*>(x); }

}  // namespace dcl::tensor::cpu
