#include "tensor/cpu/transformed_weights.h"

#include "tensor/cpu/microkernel.h"
#include "tensor/cpu/threads.h"

namespace dcl::tensor::cpu {

template <class T>
TransformedWeights<T>::TransformedWeights(std::int64_t depth, std::int64_t cols)
    : depth_(depth),
      cols_(cols),
      width_(microkernel<T>().cols),
      storage_(Tensor::empty({panels(), kWinogradPoints, depth, width_}, {dtype_of<T>, {}})),
      values_(storage_.template data<T>()) {}

template <class T>
auto TransformedWeights<T>::taps_of(const T* kernel, std::int64_t distance, bool backwards)
    -> std::array<const T*, kTaps> {
  std::array<const T*, kTaps> taps;
  for (std::int64_t k = 0; k < kTaps; ++k)
    taps[static_cast<std::size_t>(k)] = kernel + (backwards ? kTaps - 1 - k : k) * distance;
  return taps;
}

// Row p of the panel's 36 matrices.
template <class T>
void TransformedWeights<T>::transform(std::int64_t panel, std::int64_t p,
                                      const std::array<const T*, kTaps>& taps) {
  winograd_kernels<T>().weight(taps.data(), filled(panel),
                               values_ + (panel * kWinogradPoints * depth_ + p) * width_, depth_ * width_);
}

// The kernels of a panel are turned, some channels at a time, so that a vector holds neighbouring columns.
template <class T>
TransformedWeights<T> TransformedWeights<T>::forward(std::int64_t depth, std::int64_t cols, const T* weight) {
  TransformedWeights u(depth, cols);
  constexpr std::int64_t lines = kWinogradChannels;
  parallel_for(u.panels(), 1, [&](std::int64_t first, std::int64_t last) {
    Tensor scratch = Tensor::empty({kTaps, lines, u.width_}, {dtype_of<T>, {}});
    T* const turned = scratch.data<T>();
    for (std::int64_t panel = first; panel < last; ++panel)
      for (std::int64_t p = 0; p < depth; p += lines) {
        for (std::int64_t j = 0; j < u.filled(panel); ++j)
          for (std::int64_t k = 0; k < kTaps; ++k) {
            const T* const in = weight + ((panel * u.width_ + j) * kTaps + k) * depth + p;
            for (std::int64_t i = 0; i < lines; ++i) turned[(k * lines + i) * u.width_ + j] = in[i];
          }
        for (std::int64_t i = 0; i < lines; ++i)
          u.transform(panel, p + i, taps_of(turned + i * u.width_, lines * u.width_, false));
      }
  });
  return u;
}

template <class T>
TransformedWeights<T> TransformedWeights<T>::backward(std::int64_t depth, std::int64_t cols,
                                                      const T* weight) {
  TransformedWeights u(depth, cols);
  parallel_for(u.panels(), 1, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t panel = first; panel < last; ++panel)
      for (std::int64_t p = 0; p < depth; ++p)
        u.transform(panel, p, taps_of(weight + p * kTaps * cols + panel * u.width_, cols, true));
  });
  return u;
}

template class TransformedWeights<float>;
template class TransformedWeights<double>;

}  // namespace dcl::tensor::cpu
