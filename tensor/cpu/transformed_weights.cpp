#include "tensor/cpu/transformed_weights.h"

#include "tensor/cpu/microkernel.h"
#include "tensor/cpu/prefetch.h"
#include "tensor/cpu/threads.h"

namespace dcl::tensor::cpu {

template <class T>
WinogradPanels<T>::WinogradPanels(std::int64_t depth, std::int64_t cols)
    : depth_(depth), cols_(cols), width_(microkernel<T>().cols) {}

template <class X>
WeightTransform<X>::WeightTransform(std::int64_t depth, std::int64_t cols, const T* weight, bool backwards)
    : sizes_(depth, cols), weight_(weight), backwards_(backwards) {}

template <class X>
WeightTransform<X> WeightTransform<X>::forward(std::int64_t depth, std::int64_t cols, const T* weight) {
  return {depth, cols, weight, false};
}

template <class X>
WeightTransform<X> WeightTransform<X>::backward(std::int64_t depth, std::int64_t cols, const T* weight) {
  return {depth, cols, weight, true};
}

// Where row p of a panel's kernels begins at tap k: in one piece, or the first number of each column.
template <class X>
auto WeightTransform<X>::place(std::int64_t panel, std::int64_t p, std::int64_t k) const -> const T* {
  const std::int64_t first = panel * sizes_.width();
  if (backwards_) return weight_ + (p * kTaps + kTaps - 1 - k) * sizes_.cols() + first;
  return weight_ + (first * kTaps + k) * sizes_.depth() + p;
}

// Rows [p, p + kLines) of the panel's kernels as `turned` [kTaps,kLines,width]: a vector holds neighbouring
// columns. Those of the next rows are asked for meanwhile: they lie in pieces of a line or two.
template <class X>
void WeightTransform<X>::turn(std::int64_t panel, std::int64_t p, T* turned) const {
  const std::int64_t cols = sizes_.filled(panel);
  const std::int64_t column = kTaps * sizes_.depth();  // from one to the next of a convolution's kernels
  const std::int64_t next = p + kLines;
  const bool asks = next < sizes_.depth();
  for (std::int64_t k = 0; k < kTaps; ++k) {
    T* const to = turned + k * kLines * sizes_.width();
    if (backwards_) {
      for (std::int64_t i = 0; i < kLines; ++i) {
        std::copy_n(place(panel, p + i, k), cols, to + i * sizes_.width());
        if (asks) prefetch_to_l2(place(panel, next + i, k), cols);
      }
    } else {
      microkernel<T>().pack_columns(place(panel, p, k), column, cols, kLines, to);
      for (std::int64_t j = 0; asks && j < cols; ++j)
        prefetch_to_l2(place(panel, next, k) + j * column, kLines);
    }
  }
}

template <class X>
void WeightTransform<X>::transform(std::int64_t panel, T* out) const {
  alignas(64) std::array<T, kTaps * kLines * kMaxTileCols> turned;
  for (std::int64_t p = 0; p < sizes_.depth(); p += kLines) {
    turn(panel, p, turned.data());
    for (std::int64_t i = 0; i < kLines; ++i) {
      std::array<const T*, kTaps> taps;
      for (std::int64_t k = 0; k < kTaps; ++k)
        taps[static_cast<std::size_t>(k)] = turned.data() + (k * kLines + i) * sizes_.width();
      winograd_kernels<X>().weight(taps.data(), sizes_.filled(panel), out + (p + i) * sizes_.width(),
                                   sizes_.plane());
    }
  }
}

template <class X>
TransformedWeights<X>::TransformedWeights(const WeightTransform<X>& transform)
    : sizes_(transform.sizes()),
      storage_(Tensor::empty({sizes_.panels(), kWinogradPoints, sizes_.plane()}, {dtype_of<T>, {}})),
      values_(storage_.template data<T>()) {
  parallel_for(sizes_.panels(), 1, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t each = first; each < last; ++each)
      transform.transform(each, values_ + each * kWinogradPoints * sizes_.plane());
  });
}

template class WinogradPanels<float>;
template class WinogradPanels<double>;
template class WeightTransform<float>;
template class WeightTransform<double>;
template class WeightTransform<bfloat16>;
template class TransformedWeights<float>;
template class TransformedWeights<double>;
template class TransformedWeights<bfloat16>;

}  // namespace dcl::tensor::cpu
