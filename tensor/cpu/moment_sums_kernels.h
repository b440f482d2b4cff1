// The inner loop of moment_sums.h, compiled for several instruction sets; the best one for this processor is
// chosen at run time.
#pragma once

#include "tensor/cpu/moment_sums.h"

namespace dcl::tensor::cpu {

/// Where the sums of some columns are: those in T, and those in double.
template <class T>
struct MomentRow {
  T* shift;
  T* sum;
  T* squares;
  double* long_sum;
  double* long_squares;
};

/// What the sums in T begin with: a shift of their own and zeros, zeros, or what is there.
enum class MomentStart : std::uint8_t { shift, zeros, sums };

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
