// The input gradient of a strided convolution of few channels, a network's first, as one convolution of dy
// with stride 1: all phases (gradient_phases.h) at once, each a group of columns of the right operand. Alone,
// a phase would leave most columns of a tile empty.
//
//   dx[s·i + a, s·j + b, c] = u[i, j, (a·s + b)·C + c]
//   u[i,j,·] = Σ_{q,t,o} dy[i − q, j − t, o] · W'[o, q, t, ·]
//   W'[o, q, t, (a·s + b)·C + c] = weight[o, r, v, c]  where r·dilation − padding = s·q + a, v likewise, or 0
#pragma once

#include "tensor/cpu/gradient_phases.h"
#include "tensor/tensor.h"

namespace dcl::tensor::cpu {

/// True where fewer tiles are multiplied so.
bool merging_pays(const Conv2dSizes& z);

/// `W` is the weight's type, `T` that of dx. One group.
template <class T, class W = T>
class MergedPhases {
 public:
  MergedPhases(const Conv2dSizes& z, const W* weight);

  /// Of the convolution with stride 1, whose only phase it is; its weight [O,taps,s²·C], and u.
  const GradientPhase& phase() const { return phase_; }
  const Conv2dSizes& sizes() const { return phase_.sizes; }
  const W* weight() const { return std::as_const(weight_).template data<W>(); }
  T* u() { return u_.template data<T>(); }
  void write(T* dx) const;

 private:
  Conv2dSizes z_;
  GradientPhase phase_;
  Tensor weight_, u_;
};

}  // namespace dcl::tensor::cpu
