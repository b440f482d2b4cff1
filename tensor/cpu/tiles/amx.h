// One product of 32x32 tiles by AMX, written for real tiles and for their emulation alike (Intel,
// "Architecture Instruction Set Extensions Programming Reference", chapter on AMX).
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <cstring>

#include "tensor/cpu/prefetch.h"
#include "tensor/cpu/tiles/tile_kernel.h"

namespace dcl::tensor::cpu {

/// Eight tiles of 16 rows of 64 bytes, in plain C++: what the instructions do, number for number, but for
/// denormal numbers, which they take as zeros and give as zeros.
class EmulatedTiles {
 public:
  template <int tile>
  void zero() {
    tiles_[tile] = {};
  }
  template <int tile>
  void load(const void* from, std::int64_t stride_bytes) {
    for (std::size_t row = 0; row < 16; ++row)
      std::memcpy(tiles_[tile][row].data(),
                  static_cast<const char*>(from) + static_cast<std::int64_t>(row) * stride_bytes, 64);
  }
  template <int tile>
  void store(void* to, std::int64_t stride_bytes) const {
    for (std::size_t row = 0; row < 16; ++row)
      std::memcpy(static_cast<char*>(to) + static_cast<std::int64_t>(row) * stride_bytes,
                  tiles_[tile][row].data(), 64);
  }
  /// c += a·b: a's rows are 32 bfloat16, b's 16 pairs. The even and the odd terms are summed apart.
  template <int c, int a, int b>
  void multiply_add() {
    for (std::size_t m = 0; m < 16; ++m) {
      std::array<float, 16> even{};
      std::array<float, 16> odd{};
      for (std::size_t k = 0; k < 16; ++k) {
        const float a_even = low(tiles_[a][m][k]);
        const float a_odd = high(tiles_[a][m][k]);
        for (std::size_t n = 0; n < 16; ++n) {
          even[n] += a_even * low(tiles_[b][k][n]);
          odd[n] += a_odd * high(tiles_[b][k][n]);
        }
      }
      for (std::size_t n = 0; n < 16; ++n)
        tiles_[c][m][n] =
            std::bit_cast<std::uint32_t>(std::bit_cast<float>(tiles_[c][m][n]) + (even[n] + odd[n]));
    }
  }

 private:
  static float low(std::uint32_t pair) { return std::bit_cast<float>(pair << 16); }
  static float high(std::uint32_t pair) { return std::bit_cast<float>(pair & 0xFFFF0000U); }

  std::array<std::array<std::array<std::uint32_t, 16>, 16>, 8> tiles_{};
};

/// Tiles 0 to 3 are the quarters of c, 4 and 5 rows of a, 6 and 7 columns of b.
template <class Tiles>
void multiply_by_tiles(Tiles& tiles, const TileOperands& o, float* c) {
  tiles.template zero<0>();
  tiles.template zero<1>();
  tiles.template zero<2>();
  tiles.template zero<3>();
  const std::int64_t a_bytes = o.a_stride * 2;
  // Operands that the block before had too are still there (split.h).
  std::int64_t a_before = -1;
  std::int64_t b_before = -1;
  const bfloat16* ahead = o.ahead;
  for (std::int64_t block = 0; block < o.blocks; ++block) {
    const std::int64_t a_at = o.a_at[block];
    const std::int64_t b_at = o.b_at[block];
    const bfloat16* const a = o.a + a_at;
    const bfloat16* const b = o.b + b_at;
    if (b_at != b_before) {
      tiles.template load<6>(b, 64);
      tiles.template load<7>(b + o.b_half, 64);
    }
    if (a_at != a_before) {
      tiles.template load<4>(a, a_bytes);
      tiles.template load<5>(a + 16 * o.a_stride, a_bytes);
    }
    tiles.template multiply_add<0, 4, 6>();
    tiles.template multiply_add<1, 4, 7>();
    tiles.template multiply_add<2, 5, 6>();
    tiles.template multiply_add<3, 5, 7>();
    prefetch_to_l2(ahead, o.ahead_of_block);
    ahead += o.ahead_of_block;
    a_before = a_at;
    b_before = b_at;
  }
  constexpr std::int64_t kRowBytes = kTileCols * static_cast<std::int64_t>(sizeof(float));
  tiles.template store<0>(c, kRowBytes);
  tiles.template store<1>(c + 16, kRowBytes);
  tiles.template store<2>(c + 16 * kTileCols, kRowBytes);
  tiles.template store<3>(c + 16 * kTileCols + 16, kRowBytes);
}

}  // namespace dcl::tensor::cpu
