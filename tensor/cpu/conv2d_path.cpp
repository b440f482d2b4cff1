#include "tensor/cpu/conv2d_path.h"

#include <algorithm>
#include <atomic>

#include "tensor/cpu/features.h"
#include "tensor/cpu/tiles/tile_kernel.h"
#include "tensor/cpu/winograd.h"
#include "tensor/cpu/winograd_tiles.h"

namespace dcl::tensor::cpu {

namespace {

// Transformed kernels are four times as large as the kernels: below this many tiles they take longer to fetch
// than their products would (measured; 7x7 pixels have 4 tiles a picture).
constexpr std::int64_t kMinTiles = 8;

// Numbers are split into three parts before they meet: weights once for all rows, pixels once for all
// columns, and six times as many products are stored as fast as one. From these rows, channels and weights of
// a tap on a step with six products keeps up with one of vectors where another guest of the processor's core
// uses its tiles too (then tiles take four times as long), and is faster where nobody does (measured;
// docs/cpu-performance.md).
constexpr std::int64_t kMinTileRows = 512;
constexpr std::int64_t kMinTileChannels = 64;
constexpr std::int64_t kMinTileWeights = 1 << 14;
// A weight's gradient splits both operands for each product, and those of several taps once for each tap:
// from more channels on, or for pixels of so many rows that the vectors' packing waits for memory.
constexpr std::int64_t kMinGradientChannels = 256;
constexpr std::int64_t kMinGradientRows = 1 << 15;

// The packed path packs for one group at a time, which does not pay for depthwise convolutions.
bool plain(const Conv2dSizes& z) { return !fast_paths() || (z.params.groups > 1 && z.group_out() < 8); }

std::atomic<bool>& all_tiles() {
  static std::atomic<bool> flag{false};
  return flag;
}

bool amx_tiles() { return tile_path() == TilePath::amx || tile_path() == TilePath::amx_emulated; }

bool tiles_possible(Conv2dPath path) { return amx_tiles() && path == Conv2dPath::packed; }

// In bfloat16 Winograd's products are still of float32: AMX multiplies several times as fast, vdpbf16ps twice
// (measured: 9x9 pixels, a share of 0.52, are 0.9 times as fast by it, 10x10, of 0.41, 1.0 to 1.3 times).
Conv2dPath of_bfloat16(const Conv2dSizes& z, Conv2dPath path) {
  constexpr double kMostShare = 0.42;  // beside vdpbf16ps
  if (path != Conv2dPath::winograd) return path;
  const bool slower = tile_path() == TilePath::avx512_bf16 && !winograd_pays(z, kMostShare);
  return amx_tiles() || slower || takes_all_tiles() ? Conv2dPath::packed : path;
}

bool enough_channels(const Conv2dSizes& z, std::int64_t least) {
  return std::min(z.group_in(), z.group_out()) >= least && z.group_in() * z.group_out() >= kMinTileWeights;
}

}  // namespace

Conv2dPath conv2d_path(const Conv2dSizes& z) {
  if (plain(z)) return Conv2dPath::plain;
  return winograd_pays(z) ? Conv2dPath::winograd : Conv2dPath::packed;
}

Conv2dPath prepacked_conv2d_path(const Conv2dSizes& z) {
  const Conv2dPath path = conv2d_path(z);
  const bool few = WinogradTiles(z.batch, z.out_h, z.out_w).total() < kMinTiles;
  return path == Conv2dPath::winograd && few ? Conv2dPath::packed : path;
}

Conv2dPath bfloat16_conv2d_path(const Conv2dSizes& z) { return of_bfloat16(z, conv2d_path(z)); }

Conv2dPath bfloat16_prepacked_conv2d_path(const Conv2dSizes& z) {
  return of_bfloat16(z, prepacked_conv2d_path(z));
}

bool takes_all_tiles() { return all_tiles().load(std::memory_order_relaxed); }

bool tiles_pay(const Conv2dSizes& z, Conv2dPath path) {
  if (!tiles_possible(path)) return false;
  return takes_all_tiles() || (z.out_rows() >= kMinTileRows && enough_channels(z, kMinTileChannels));
}

bool gradient_tiles_pay(const Conv2dSizes& z, Conv2dPath path) {
  if (!tiles_possible(path)) return false;
  const bool long_sums = z.kernel_h * z.kernel_w == 1 && z.out_rows() >= kMinGradientRows;
  return takes_all_tiles() || (z.out_rows() >= kMinTileRows &&
                               enough_channels(z, long_sums ? kMinTileChannels : kMinGradientChannels));
}

void take_all_tiles(bool enabled) { all_tiles().store(enabled); }

}  // namespace dcl::tensor::cpu
