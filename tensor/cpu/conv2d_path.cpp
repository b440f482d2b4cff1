#include "tensor/cpu/conv2d_path.h"

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
// columns. Below these rows, and where a tap has fewer channels than a block, that takes longer than the
// products save (measured; 2x2x512 with 64 pictures, and 7x7x3, take up to five times as long).
constexpr std::int64_t kMinTileRows = 512;

// The packed path packs for one group at a time, which does not pay for depthwise convolutions.
bool plain(const Conv2dSizes& z) { return !fast_paths() || (z.params.groups > 1 && z.group_out() < 8); }

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

bool tiles_pay(const Conv2dSizes& z, Conv2dPath path) {
  const bool amx = tile_path() == TilePath::amx || tile_path() == TilePath::amx_emulated;
  if (!amx || path != Conv2dPath::packed) return false;
  return z.group_in() >= kBlockDepth && z.group_out() >= kTileCols && z.out_rows() >= kMinTileRows;
}

}  // namespace dcl::tensor::cpu
