#include "tensor/cpu/conv2d_fast.h"

#include <algorithm>

#include "tensor/cpu/border.h"
#include "tensor/cpu/merged_phases.h"
#include "tensor/cpu/window_product.h"

namespace dcl::tensor::cpu {

namespace {

// Up to this share of live taps, leaving out the others is faster (measured; 14x14 pixels under 3x3 have
// 0.91).
constexpr double kMaxLiveShare = 0.93;

// Orders the rows by the taps they lack where that pays. Returns the unit of the right operand: a tap, or all
// of it.
template <class T>
std::int64_t skip_border(Windows<T>& windows, std::int64_t batch) {
  if (windows.channels < kMinTapChannels || live_share(windows) > kMaxLiveShare) return windows.depth();
  windows.order = order_by_live_taps(windows, batch);
  return windows.channels;
}

// One phase of the input gradient of one group.
template <class T>
void input_gradient_phase(const Conv2dSizes& z, const T* dy, const T* weight, const GradientPhase& phase,
                          const RowGrid<T>& grid) {
  Windows<T> windows = phase.windows(dy);
  const std::int64_t unit = skip_border(windows, z.batch);
  // Row (r,s,o) of the right operand is weight[o,r,s,:].
  const std::int64_t taps = z.kernel_h * z.kernel_w;
  const PackedMatrix<T> packed(windows.depth(), z.group_in(), unit, [&](std::int64_t row, T* out) {
    const std::int64_t o = row % z.group_out();
    const std::int64_t pair = row / z.group_out();
    std::copy_n(weight + (o * taps + phase.taps[static_cast<std::size_t>(pair)]) * z.group_in(), z.group_in(),
                out);
  });
  window_product<T>(windows, z.batch * windows.out_h * windows.out_w, packed, {}, grid);
}

}  // namespace

template <class T>
void conv2d_fast(const Conv2dSizes& z, const T* x, const T* weight, const Epilogue<T>& end, T* y) {
  const std::int64_t depth = z.kernel_h * z.kernel_w * z.group_in();
  for (std::int64_t g = 0; g < z.params.groups; ++g) {
    Windows<T> windows = forward_windows(z, x, g);
    const std::int64_t unit = skip_border(windows, z.batch);
    const T* const group_weight = weight + g * z.group_out() * depth;
    const auto packed = PackedMatrix<T>::from_transposed(depth, z.group_out(), unit, group_weight);
    window_product<T>(windows, z.out_rows(), packed, end.from(g * z.group_out()), forward_grid(z, y, g));
  }
}

template <class T>
std::vector<PackedMatrix<T>> pack_weight(const Shape& shape, std::int64_t groups, const T* weight) {
  const std::int64_t depth = shape[1] * shape[2] * shape[3];
  const std::int64_t cols = shape[0] / groups;
  // A tap by itself wherever the border may be skipped.
  const std::int64_t unit = shape[3] < kMinTapChannels ? depth : shape[3];
  std::vector<PackedMatrix<T>> packed;
  for (std::int64_t g = 0; g < groups; ++g)
    packed.push_back(PackedMatrix<T>::from_transposed(depth, cols, unit, weight + g * cols * depth));
  return packed;
}

template <class T>
void conv2d_fast(const Conv2dSizes& z, const T* x, const std::vector<PackedMatrix<T>>& weight,
                 const Epilogue<T>& epilogue, T* y) {
  for (std::int64_t g = 0; g < z.params.groups; ++g) {
    Windows<T> windows = forward_windows(z, x, g);
    skip_border(windows, z.batch);
    window_product<T>(windows, z.out_rows(), weight[static_cast<std::size_t>(g)],
                      epilogue.from(g * z.group_out()), forward_grid(z, y, g));
  }
}

template <class T>
void conv2d_backward_input_fast(const Conv2dSizes& z, const T* dy, const T* weight, T* dx, bool add) {
  for_each_input_gradient(z, dy, weight, dx, add, input_gradient_phase<T>);
}

template std::vector<PackedMatrix<float>> pack_weight<float>(const Shape&, std::int64_t, const float*);
template std::vector<PackedMatrix<double>> pack_weight<double>(const Shape&, std::int64_t, const double*);
template void conv2d_fast<float>(const Conv2dSizes&, const float*, const std::vector<PackedMatrix<float>>&,
                                 const Epilogue<float>&, float*);
template void conv2d_fast<double>(const Conv2dSizes&, const double*, const std::vector<PackedMatrix<double>>&,
                                  const Epilogue<double>&, double*);
template void conv2d_fast<float>(const Conv2dSizes&, const float*, const float*, const Epilogue<float>&,
                                 float*);
template void conv2d_backward_input_fast<float>(const Conv2dSizes&, const float*, const float*, float*, bool);
template void conv2d_fast<double>(const Conv2dSizes&, const double*, const double*, const Epilogue<double>&,
                                  double*);
template void conv2d_backward_input_fast<double>(const Conv2dSizes&, const double*, const double*, double*,
                                                 bool);

}  // namespace dcl::tensor::cpu
