// The same test on every path of tile products that this processor has, emulated AMX among them.
#pragma once

#include <cstdlib>
#include <functional>
#include <string>

#include "tensor/cpu/conv2d_path.h"
#include "tensor/cpu/tiles/tile_kernel.h"

namespace dcl::test {

/// Until the end of its scope; then the path is the one from before.
class OnTilePath {
 public:
  explicit OnTilePath(tensor::cpu::TilePath path) { tensor::cpu::set_tile_path(path); }
  ~OnTilePath() { tensor::cpu::set_tile_path(before_); }
  OnTilePath(const OnTilePath&) = delete;
  OnTilePath& operator=(const OnTilePath&) = delete;

 private:
  tensor::cpu::TilePath before_ = tensor::cpu::tile_path();
};

/// Until the end of its scope float32 convolutions take six tile products wherever they can, by emulated AMX.
class OnFloatTiles {
 public:
  OnFloatTiles() { tensor::cpu::take_all_tiles(true); }
  ~OnFloatTiles() { tensor::cpu::take_all_tiles(before_); }
  OnFloatTiles(const OnFloatTiles&) = delete;
  OnFloatTiles& operator=(const OnFloatTiles&) = delete;

 private:
  bool before_ = tensor::cpu::takes_all_tiles();
  OnTilePath amx_{tensor::cpu::TilePath::amx_emulated};
};

/// Runs `body` on every one, with its name. Emulated AMX is plain C++: under DCL_CPU_FEATURES it would only
/// be the same once more, in minutes.
inline void on_every_tile_path(const std::function<void(const std::string& name)>& body) {
  const bool limited = std::getenv("DCL_CPU_FEATURES") != nullptr;
  for (const auto path : tensor::cpu::tile_paths()) {
    if (limited && path == tensor::cpu::TilePath::amx_emulated) continue;
    const OnTilePath chosen(path);
    body(tensor::cpu::tile_kernel().name);
  }
}

}  // namespace dcl::test
