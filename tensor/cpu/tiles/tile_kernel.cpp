#include "tensor/cpu/tiles/tile_kernel.h"

#include <algorithm>
#include <array>
#include <atomic>

#include "tensor/check.h"
#include "tensor/cpu/features.h"
#include "tensor/cpu/tiles/tile_targets.h"

namespace dcl::tensor::cpu {

namespace {

constexpr std::size_t kPaths = 4;

std::array<TileKernel, kPaths> make_kernels() {
  std::array<TileKernel, kPaths> all;
  all.fill(vector_tile_kernel());
  const auto at = [&](TilePath path) -> TileKernel& { return all[static_cast<std::size_t>(path)]; };
  TileKernel& avx512 = at(TilePath::avx512_bf16);
  avx512.rows = kAvx512Rows;
  avx512.multiply = &multiply_avx512_bf16;
  avx512.multiply_store = &multiply_store_avx512_bf16;
  avx512.any_rows = true;
  avx512.asks_ahead = true;
  avx512.run = kMaxTileRun;
  avx512.name = "vdpbf16ps";
  TileKernel& emulated = at(TilePath::amx_emulated);
  emulated.rows = 32;
  emulated.multiply = &multiply_amx_emulated;
  emulated.any_stride = true;
  emulated.asks_ahead = true;
  emulated.asks_for_y = false;
  emulated.any_pairs = false;
  emulated.run = kMaxTileRun;
  emulated.name = "emulated AMX";
  TileKernel& amx = at(TilePath::amx);
  amx = emulated;
  amx.multiply = &multiply_amx;
  amx.name = "AMX";
  // Processors with AMX have these too; who switched them off gets stores by vectors.
  if (avx512_bf16_allowed())
    for (TileKernel* const kernel : {&avx512, &emulated, &amx}) {
      kernel->store_bfloat16 = &store_avx512_bf16;
      kernel->store_run_bfloat16 = &store_run_avx512_bf16;
      kernel->store_run_float = &store_run_avx512_bf16;
    }
  return all;
}

bool runs_here(TilePath path) {
  switch (path) {
    case TilePath::vectors:
    case TilePath::amx_emulated:
      return true;
    case TilePath::avx512_bf16:
      return avx512_bf16_allowed();
    case TilePath::amx:
      return cpu_level() >= CpuLevel::amx && amx_ready();
  }
  return false;
}

std::atomic<TilePath>& chosen() {
  static std::atomic<TilePath> path{runs_here(TilePath::amx)           ? TilePath::amx
                                    : runs_here(TilePath::avx512_bf16) ? TilePath::avx512_bf16
                                                                       : TilePath::vectors};
  return path;
}

}  // namespace

std::vector<TilePath> tile_paths() {
  std::vector<TilePath> all;
  for (const auto path : {TilePath::vectors, TilePath::avx512_bf16, TilePath::amx_emulated, TilePath::amx})
    if (runs_here(path)) all.push_back(path);
  return all;
}

TilePath tile_path() { return chosen().load(std::memory_order_relaxed); }

void set_tile_path(TilePath path) {
  check(runs_here(path), "set_tile_path: this processor has no instructions for path {}",
        static_cast<int>(path));
  chosen().store(path);
}

const TileKernel& tile_kernel() {
  static const auto kernels = make_kernels();
  // Tests switch Highway's targets while they run.
  if (tile_path() == TilePath::vectors) return vector_tile_kernel();
  return kernels[static_cast<std::size_t>(tile_path())];
}

}  // namespace dcl::tensor::cpu
