#include "tensor/cpu/tiles/split.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "tensor/cpu/features.h"
#include "tensor/cpu/tiles/row_kernels.h"
#include "tensor/cpu/tiles/tile_targets.h"
#include "tensor/cpu/vector_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tensor/cpu/tiles/split.cpp"
#include <hwy/foreach_target.h>
// foreach_target.h comes first: it includes this file again for every instruction set.
#include <hwy/highway.h>

#include "tensor/cpu/tiles/split-inl.h"

HWY_BEFORE_NAMESPACE();
namespace dcl::tensor::cpu {
namespace HWY_NAMESPACE {
namespace {  // several files have kernels of these names

void widen(const std::uint16_t* HWY_RESTRICT x, std::int64_t n, float* HWY_RESTRICT out) {
  for (std::int64_t i = 0; i < n; ++i) out[i] = std::bit_cast<float>(static_cast<std::uint32_t>(x[i]) << 16);
}

// `write(run, width, block)` for each run, then zeros to the block's end in all of its parts.
template <class Write>
HWY_INLINE void each_block(const float* x, const BlockRuns& runs, std::int64_t parts, std::uint16_t* out,
                           Write write) {
  for (std::int64_t i = 0; i < runs.count; ++i) {
    std::uint16_t* const block = out + i * runs.out_stride;
    if (runs.width == kBlockDepth) {
      write(x + i * runs.x_stride, kBlockDepth, block);
      continue;
    }
    write(x + i * runs.x_stride, runs.width, block);
    for (std::int64_t part = 0; part < parts; ++part)
      std::fill(block + part * runs.part_stride + runs.width, block + part * runs.part_stride + kBlockDepth,
                std::uint16_t{0});
  }
}

void split_blocks(const float* x, const BlockRuns& runs, std::uint16_t* out) {
  each_block(x, runs, kParts<float>, out, [&](const float* run, std::int64_t width, std::uint16_t* block) {
    split(run, width, block, runs.part_stride);
  });
}

void round_all_blocks(const float* x, const BlockRuns& runs, std::uint16_t* out) {
  each_block(x, runs, 1, out,
             [](const float* run, std::int64_t width, std::uint16_t* block) { round(run, width, block); });
}

const SplitKernels& describe() {
  static constexpr SplitKernels all{round, widen, split, split_blocks, round_all_blocks};
  return all;
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace dcl::tensor::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace dcl::tensor::cpu {

DCL_VECTOR_DISPATCH(describe, const SplitKernels& split_kernels())

void round_to_bfloat16(const float* x, std::int64_t n, bfloat16* out) {
  split_kernels().round(x, n, bits_of(out));
}

void widen_bfloat16(const bfloat16* x, std::int64_t n, float* out) {
  split_kernels().widen(bits_of(x), n, out);
}

void split_to_bfloat16(const float* x, std::int64_t n, bfloat16* out, std::int64_t part_stride) {
  if (avx512_bf16_allowed()) return split_avx512_bf16(x, n, out, part_stride);
  split_kernels().split(x, n, bits_of(out), part_stride);
}

void write_blocks(const float* x, const BlockRuns& runs, bfloat16* out) {
  if (runs.width == kBlockDepth && avx512_bf16_allowed()) {
    for (std::int64_t i = 0; i < runs.count; ++i)
      split_avx512_bf16(x + i * runs.x_stride, kBlockDepth, out + i * runs.out_stride, runs.part_stride);
    return;
  }
  split_kernels().split_blocks(x, runs, bits_of(out));
}

void round_blocks(const float* x, const BlockRuns& runs, bfloat16* out) {
  split_kernels().round_blocks(x, runs, bits_of(out));
}

void write_blocks(const bfloat16* x, const BlockRuns& runs, bfloat16* out) {
  if (runs.width == kBlockDepth) {
    for (std::int64_t i = 0; i < runs.count; ++i)
      std::memcpy(out + i * runs.out_stride, x + i * runs.x_stride, kBlockDepth * sizeof(bfloat16));
    return;
  }
  for (std::int64_t i = 0; i < runs.count; ++i) {
    bfloat16* const block = out + i * runs.out_stride;
    std::copy_n(x + i * runs.x_stride, runs.width, block);
    std::fill(block + runs.width, block + kBlockDepth, bfloat16());
  }
}

}  // namespace dcl::tensor::cpu
#endif  // HWY_ONCE
