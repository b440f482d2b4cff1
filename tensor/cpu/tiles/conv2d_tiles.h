// Convolutions by tiles of bfloat16 products (tile_kernel.h). The bits are the same for any number of
// threads.
//
// T is bfloat16, or float: then every number is split into three parts and six products are summed, which
// keeps float32's accuracy (split.h). Of pictures of up to 8 channels an infinity or NaN may also make NaN in
// outputs whose windows end up to 32 numbers before it (overlapped_rows.h).
#pragma once

#include <array>
#include <mutex>
#include <vector>

#include "tensor/cpu/epilogue.h"
#include "tensor/cpu/tiles/tile_panels.h"
#include "tensor/ops/conv2d.h"

namespace dcl::tensor::cpu {

// As the functions of the same names in tensor/ops/conv2d.h, on arrays whose sizes have been checked. Each
// overwrites all of its result, or with `add` adds to it. Weights and their gradient are float32.

template <class T>
void conv2d_tiles(const Conv2dSizes& z, const T* x, const float* weight, const Epilogue<T>& end, T* y);
template <class T>
void conv2d_backward_input_tiles(const Conv2dSizes& z, const T* dy, const float* weight, T* dx,
                                 bool add = false);
template <class T>
void conv2d_backward_weight_tiles(const Conv2dSizes& z, const T* dy, const T* x, float* dweight);

/// A weight that no longer changes, [O,kH,kW,I/groups], float32, brought into the order of the tiles once.
template <class T>
class TileWeight {
 public:
  explicit TileWeight(Tensor weight) : weight_(std::move(weight)) {}
  /// conv2d_tiles of this weight. May be called from several threads.
  void conv2d(const Conv2dSizes& z, const T* x, const Epilogue<T>& end, T* y);

 private:
  // Of each group. The channels of a tap, or of a row of taps, are filled up to whole blocks, or all follow
  // each other without gaps: which of the two a product wants depends on the picture.
  struct Form {
    std::once_flag once;
    std::vector<TilePanels> panels;
  };
  const std::vector<TilePanels>& panels(const PanelSize& size, std::int64_t groups);

  Tensor weight_;
  std::array<Form, 2> forms_;
};

}  // namespace dcl::tensor::cpu
