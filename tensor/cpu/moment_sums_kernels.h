// The inner loop of moment_sums.h, compiled for several instruction sets; the best one for this processor is
// chosen at run time.
#pragma once

#include "tensor/cpu/moment_sums.h"

namespace dcl::tensor::cpu {

template <class X>
struct MomentKernels {
  using T = Compute<X>;
  void (*add)(const TileRows<X>& tile, MomentStart start, const MomentRow<T>& to);
  /// Adds `cols` sums in T to those in double; `first` says that there are none yet.
  void (*widen)(std::int64_t cols, bool first, const MomentRow<T>& to);
};

/// X is float, double or bfloat16.
template <class X>
const MomentKernels<X>& moment_kernels();

}  // namespace dcl::tensor::cpu
