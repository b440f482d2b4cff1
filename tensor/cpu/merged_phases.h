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
  /// With `add` it is added to what dx holds.
  void write(T* dx, bool add) const;

 private:
  Conv2dSizes z_;
  GradientPhase phase_;
  Tensor weight_, u_;
};

/// Calls run(sizes, dy, weight, phase, grid) for every convolution that makes up the input gradient: the
/// merged one, or each phase of each group, whose weights and first channels its pointers are at. With `add`
/// the gradient is added to what dx holds.
template <class T, class W, class Run>
void for_each_input_gradient(const Conv2dSizes& z, const T* dy, const W* weight, T* dx, bool add,
                             const Run& run) {
  if (merging_pays(z)) {
    MergedPhases<T, W> merged(z, weight);
    run(merged.sizes(), dy, merged.weight(), merged.phase(), merged.phase().grid(merged.u(), false));
    return merged.write(dx, add);
  }
  const std::vector<GradientPhase> phases = gradient_phases(z);
  const std::int64_t group_weights = z.group_out() * z.kernel_h * z.kernel_w * z.group_in();
  for (std::int64_t g = 0; g < z.params.groups; ++g)
    for (const GradientPhase& phase : phases)
      run(z, dy + g * z.group_out(), weight + g * group_weights, phase,
          phase.grid(dx + g * z.group_in(), add));
}

}  // namespace dcl::tensor::cpu
