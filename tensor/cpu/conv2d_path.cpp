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
// uses its tiles too (measured: then tiles take four times as long; docs/cpu-performance.md), and is faster
// where nobody does.
constexpr std::int64_t kMinTileRows = 512;
constexpr std::int64_t kMinTileChannels = 128;
constexpr std::int64_t kMinTileWeights = 1 << 16;

// The packed path packs for one group at a time, which does not pay for depthwise convolutions.
bool plain(const Conv2dSizes& z) { return !fast_paths() || (z.params.groups > 1 && z.group_out() < 8); }

std::atomic<bool>& all_tiles() {
  static std::atomic<bool> flag{false};
  return flag;
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

bool takes_all_tiles() { return all_tiles().load(std::memory_order_relaxed); }

bool tiles_pay(const Conv2dSizes& z, Conv2dPath path) {
  const bool amx = tile_path() == TilePath::amx || tile_path() == TilePath::amx_emulated;
  if (!amx || path != Conv2dPath::packed) return false;
  if (takes_all_tiles()) return true;
  return z.out_rows() >= kMinTileRows && std::min(z.group_in(), z.group_out()) >= kMinTileChannels &&
         z.group_in() * z.group_out() >= kMinTileWeights;
}

void take_all_tiles(bool enabled) { all_tiles().store(enabled); }

}  // namespace dcl::tensor::cpu
