#include "tensor/cpu/transformed_weights.h"

#include <type_traits>

#include "tensor/cpu/microkernel.h"
#include "tensor/cpu/prefetch.h"
#include "tensor/cpu/threads.h"

namespace dcl::tensor::cpu {

template <class X>
WeightTransform<X>::WeightTransform(std::int64_t depth, std::int64_t cols, const T* weight, bool backwards)
    : depth_(depth), cols_(cols), width_(microkernel<T>().cols), weight_(weight), backwards_(backwards) {}

template <class X>
WeightTransform<X> WeightTransform<X>::forward(std::int64_t depth, std::int64_t cols, const T* weight) {
  return {depth, cols, weight, false};
}

template <class X>
WeightTransform<X> WeightTransform<X>::backward(std::int64_t depth, std::int64_t cols, const T* weight) {
  return {depth, cols, weight, true};
}

// Row p of a panel's kernels at tap k begins at weight[...], in one piece or as the columns' first numbers.
template <class X>
auto WeightTransform<X>::place(std::int64_t panel, std::int64_t p, std::int64_t k) const -> const T* {
  if (backwards_) return weight_ + (p * kTaps + kTaps - 1 - k) * cols_ + panel * width_;
  return weight_ + (panel * width_ * kTaps + k) * depth_ + p;
}

// Rows [p, p + kLines) of the panel's kernels as `turned` [kTaps,kLines,width]: a vector holds neighbouring
// columns. Those of the next rows are asked for meanwhile: they lie in pieces of a line or two.
template <class X>
void WeightTransform<X>::turn(std::int64_t panel, std::int64_t p, T* turned) const {
  const std::int64_t cols = filled(panel);
  const std::int64_t next = p + kLines;
  for (std::int64_t k = 0; k < kTaps; ++k) {
    T* const to = turned + k * kLines * width_;
    if (backwards_) {
      for (std::int64_t i = 0; i < kLines; ++i) {
        std::copy_n(place(panel, p + i, k), cols, to + i * width_);
        if (next < depth_) prefetch_to_l2(place(panel, next + i, k), cols);
      }
    } else {
      microkernel<T>().pack_columns(place(panel, p, k), kTaps * depth_, cols, kLines, to);
      for (std::int64_t j = 0; j < cols && next < depth_; ++j)
        prefetch_to_l2(place(panel, next, k) + j * kTaps * depth_, kLines);
    }
  }
  if constexpr (!std::is_same_v<X, T>)
    for (std::int64_t i = 0; i < kTaps * kLines * width_; ++i) turned[i] = widened(static_cast<X>(turned[i]));
}

template <class X>
void WeightTransform<X>::transform(std::int64_t panel, T* out) const {
  alignas(64) std::array<T, kTaps * kLines * kMaxTileCols> turned{};
  for (std::int64_t p = 0; p < depth_; p += kLines) {
    turn(panel, p, turned.data());
    for (std::int64_t i = 0; i < kLines; ++i) {
      std::array<const T*, kTaps> taps;
      for (std::int64_t k = 0; k < kTaps; ++k)
        taps[static_cast<std::size_t>(k)] = turned.data() + (k * kLines + i) * width_;
      winograd_kernels<X>().weight(taps.data(), filled(panel), out + (p + i) * width_, plane());
    }
  }
}

template <class X>
TransformedWeights<X>::TransformedWeights(const WeightTransform<X>& transform)
    : sizes_(transform),
      storage_(Tensor::empty({transform.panels(), kWinogradPoints, transform.plane()}, {dtype_of<T>, {}})),
      values_(storage_.template data<T>()) {
  parallel_for(transform.panels(), 1, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t each = first; each < last; ++each)
      transform.transform(each, values_ + each * kWinogradPoints * transform.plane());
  });
}

template class WeightTransform<float>;
template class WeightTransform<double>;
template class WeightTransform<bfloat16>;
template class TransformedWeights<float>;
template class TransformedWeights<double>;
template class TransformedWeights<bfloat16>;

}  // namespace dcl::tensor::cpu
