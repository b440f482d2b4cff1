#include "tensor/cpu/tiles/amx.h"

#include "tensor/cpu/tiles/tile_targets.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace dcl::tensor::cpu {

void multiply_amx_emulated(const TileOperands& operands, float* c) {
  EmulatedTiles tiles;
  multiply_by_tiles(tiles, operands, c);
}

#if defined(__x86_64__)

namespace {

// Inline assembly, not intrinsics: those of GCC 12 cannot take a template's number, and those of Clang ask
// for compiler flags that would then hold for all of this file.
class AmxTiles {
 public:
  template <int tile>
  void zero() {
    asm volatile("tilezero %%tmm%c0" : : "i"(tile));
  }
  template <int tile>
  void load(const void* from, std::int64_t stride_bytes) {
    asm volatile("tileloadd (%0,%1,1), %%tmm%c2" : : "r"(from), "r"(stride_bytes), "i"(tile) : "memory");
  }
  template <int tile>
  void store(void* to, std::int64_t stride_bytes) const {
    asm volatile("tilestored %%tmm%c2, (%0,%1,1)" : : "r"(to), "r"(stride_bytes), "i"(tile) : "memory");
  }
  template <int c, int a, int b>
  void multiply_add() {
    asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(c), "i"(a), "i"(b));
  }
};

// ldtilecfg's operand: palette 1, all eight tiles 16 rows of 64 bytes.
struct TileConfig {
  std::uint8_t palette = 1;
  std::uint8_t start_row = 0;
  std::array<std::uint8_t, 14> reserved{};
  std::array<std::uint16_t, 16> row_bytes{64, 64, 64, 64, 64, 64, 64, 64};
  std::array<std::uint8_t, 16> rows{16, 16, 16, 16, 16, 16, 16, 16};
};
static_assert(sizeof(TileConfig) == 64);

// A thread's tiles stay as they were set until it ends: nobody else here uses them.
void configure_this_thread() {
  thread_local bool configured = false;
  if (configured) return;
  const TileConfig config;
  asm volatile("ldtilecfg %0" : : "m"(config));
  configured = true;
}

bool processor_has_amx() {
  unsigned a = 0;
  unsigned b = 0;
  unsigned c = 0;
  unsigned d = 0;
  constexpr unsigned kBf16AndTile = (1U << 22) | (1U << 24);
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (d & kBf16AndTile) == kBf16AndTile;
}

}  // namespace

// Linux wants to be asked before a process may use the tiles' 8 KiB of registers
// (Documentation/arch/x86/xstate.rst).
bool amx_ready() {
  static const bool ready = [] {
    constexpr long kRequestPermission = 0x1023;  // ARCH_REQ_XCOMP_PERM
    constexpr long kTileData = 18;               // XFEATURE_XTILEDATA
    return processor_has_amx() && ::syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
  }();
  return ready;
}

void multiply_amx(const TileOperands& operands, float* c) {
  configure_this_thread();
  AmxTiles tiles;
  multiply_by_tiles(tiles, operands, c);
}

#else

bool amx_ready() { return false; }
void multiply_amx(const TileOperands& operands, float* c) { multiply_amx_emulated(operands, c); }

#endif

}  // namespace dcl::tensor::cpu
