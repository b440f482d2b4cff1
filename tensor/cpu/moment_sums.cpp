#include "tensor/cpu/moment_sums.h"

#include <algorithm>

#include "tensor/cpu/moment_sums_kernels.h"
#include "tensor/cpu/threads.h"

namespace dcl::tensor::cpu {

template <class T>
void MomentSums<T>::set_parts(std::int64_t parts) {
  if (!counts_.empty()) {
    check(this->parts() == parts, "moment_sums: {} parts after {}", parts, this->parts());
    return;
  }
  counts_.resize(static_cast<std::size_t>(parts));
  short_storage_ = Tensor::empty({parts, 3, channels_}, {dtype_of<T>, {}});
  long_storage_ = Tensor::empty({parts, 2, channels_}, {DType::float64, {}});
  short_ = short_storage_.template data<T>();
  long_ = long_storage_.template data<double>();
}

template <class T>
MomentColumns<T> MomentSums<T>::begin_tiles(const MomentPlace& place, std::int64_t rows) {
  const auto& [part, index, channel, cols] = place;
  T* const shift = short_sums(part) + channel;
  double* const sum = long_sums(part) + channel;
  const bool full = index > 0 && index % kTilesInFloat == 0;
  const MomentRow<T> to{shift, shift + channels_, shift + 2 * channels_, sum, sum + channels_};
  if (full) moment_kernels<T>().widen(cols, index == kTilesInFloat, to);
  if (channel == 0) {
    Count& count = counts_[static_cast<std::size_t>(part)];
    count.rows += rows;
    count.has_long_sums = count.has_long_sums || full;
  }
  return {index == 0 ? MomentStart::shift : full ? MomentStart::zeros : MomentStart::sums, to};
}

template <class T>
template <class X>
void MomentSums<T>::add(std::int64_t part, std::int64_t index, std::int64_t channel,
                        const TileRows<X>& tile) {
  const auto [start, to] = begin_tiles({part, index, channel, tile.cols}, tile.count);
  moment_kernels<X>().add(tile, start, to);
}

template <class T>
ChannelMoments MomentSums<T>::of(std::int64_t first, std::int64_t last) const {
  ChannelMoments all{Tensor::zeros({channels_}, {DType::float64, {}}),
                     Tensor::zeros({channels_}, {DType::float64, {}}), 0};
  for (std::int64_t part = first; part < last; ++part) all.rows += count(part).rows;
  const double share = 1 / static_cast<double>(all.rows);
  auto* const mean = all.mean.template data<double>();
  auto* const squares = all.squares.template data<double>();
  // About eight operations a part and channel; whole lines of the sums.
  constexpr std::int64_t kOperations = 1 << 15;
  constexpr std::int64_t kLine = 16;
  const std::int64_t of_line = 8 * kLine * std::max<std::int64_t>(last - first, 1);
  parallel_for(divide_up(channels_, kLine), kOperations / of_line + 1,
               [&](std::int64_t begin, std::int64_t end) {
                 const Range channels{begin * kLine, std::min(end * kLine, channels_)};
                 for (std::int64_t part = first; part < last; ++part) add_mean(part, channels, share, mean);
                 for (std::int64_t part = first; part < last; ++part)
                   add_squares(part, channels, mean, squares);
               });
  return all;
}

template <class T>
typename MomentSums<T>::Sums MomentSums<T>::sums(std::int64_t part, std::int64_t channel) const {
  const T* const shift = short_sums(part) + channel;
  Sums all{static_cast<double>(shift[0]), static_cast<double>(shift[channels_]),
           static_cast<double>(shift[2 * channels_])};
  if (count(part).has_long_sums) {
    all.sum += long_sums(part)[channel];
    all.squares += long_sums(part)[channels_ + channel];
  }
  return all;
}

template <class T>
void MomentSums<T>::add_mean(std::int64_t part, Range channels, double share, double* mean) const {
  const auto rows = static_cast<double>(count(part).rows);
  for (std::int64_t c = channels.begin; c < channels.end; ++c) {
    const Sums of_part = sums(part, c);
    mean[c] += (rows * of_part.shift + of_part.sum) * share;
  }
}

template <class T>
void MomentSums<T>::add_squares(std::int64_t part, Range channels, const double* mean,
                                double* squares) const {
  const auto rows = static_cast<double>(count(part).rows);
  const double inverse = 1 / rows;
  for (std::int64_t c = channels.begin; c < channels.end; ++c) {
    const Sums of_part = sums(part, c);
    const double away = of_part.shift + of_part.sum * inverse - mean[c];
    squares[c] += std::max(of_part.squares - of_part.sum * of_part.sum * inverse, 0.0) + rows * away * away;
  }
}

template class MomentSums<float>;
template class MomentSums<double>;
template void MomentSums<float>::add<float>(std::int64_t, std::int64_t, std::int64_t, const TileRows<float>&);
template void MomentSums<float>::add<bfloat16>(std::int64_t, std::int64_t, std::int64_t,
                                               const TileRows<bfloat16>&);
template void MomentSums<double>::add<double>(std::int64_t, std::int64_t, std::int64_t,
                                              const TileRows<double>&);

}  // namespace dcl::tensor::cpu
