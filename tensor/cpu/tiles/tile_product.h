// y = windows · b + bias by tiles of bfloat16 products, the counterpart of window_product.h. The rows of the
// left operand are read where they lie when the kernel is 1×1; from a copy of a few pictures with zeros
// around them, in which a tap is a distance, when the result has the picture's size; from one in which a row
// of taps is one piece, when there are few channels (overlapped_rows.h); else they are gathered. So are those
// of small pictures, ordered by the taps that they lack (border.h): what a strip lacks is left out.
#pragma once

#include "tensor/cpu/im2col.h"
#include "tensor/cpu/tiles/tile_panels.h"
#include "tensor/cpu/window_product.h"

namespace dcl::tensor::cpu {

/// T is bfloat16 or float; float is split into three parts, so that the result has float32's accuracy. The
/// bits do not depend on the number of threads.
template <class T>
class TileProduct {
 public:
  /// `batch` pictures.
  TileProduct(const Windows<T>& windows, std::int64_t batch);

  /// The size of the right operand that run() wants, for `cols` columns.
  PanelSize panel_size(std::int64_t cols) const;
  /// The epilogue's bias is [cols]; its residual has the layout of grid.y.
  void run(const TilePanels& b, const Epilogue<T>& end, const RowGrid<T>& grid) const;

 private:
  enum class Reading : std::uint8_t { in_place, overlapped, from_copy, gathered };

  Windows<T> windows_;
  std::int64_t batch_;
  Reading reading_;
  bool leaves_out_taps_ = false;  // gathered rows, ordered
};

}  // namespace dcl::tensor::cpu
