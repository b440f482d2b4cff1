#include "tensor/cpu/merged_phases.h"

#include <algorithm>

#include "tensor/cpu/ranges.h"
#include "tensor/cpu/threads.h"

namespace dcl::tensor::cpu {

namespace {

std::int64_t divide_down(std::int64_t a, std::int64_t b) { return a >= 0 ? a / b : -divide_up(-a, b); }

// The q of one direction, from the first to the last.
struct Reach {
  std::int64_t first, last;
  Reach(std::int64_t kernel, const Conv2dParams& p)
      : first(divide_down(-p.padding, p.stride)),
        last(divide_down((kernel - 1) * p.dilation - p.padding, p.stride)) {}
  std::int64_t taps() const { return last - first + 1; }
};

// Sorted shifts of dy, and the taps in their order.
GradientPhase only_phase(const Conv2dSizes& z) {
  const std::int64_t stride = z.params.stride;
  const Reach rows(z.kernel_h, z.params);
  const Reach columns(z.kernel_w, z.params);
  Conv2dSizes merged = z;
  merged.params = {};
  merged.in_h = divide_up(z.in_h, stride);
  merged.in_w = divide_up(z.in_w, stride);
  merged.in_channels = stride * stride * z.in_channels;
  merged.kernel_h = rows.taps();
  merged.kernel_w = columns.taps();
  GradientPhase phase(merged, 0, 0);
  phase.shifts_h.clear();
  phase.shifts_w.clear();
  phase.taps.clear();
  for (std::int64_t q = rows.last; q >= rows.first; --q) phase.shifts_h.push_back(-q);
  for (std::int64_t t = columns.last; t >= columns.first; --t) phase.shifts_w.push_back(-t);
  for (std::int64_t tap = rows.taps() * columns.taps() - 1; tap >= 0; --tap) phase.taps.push_back(tap);
  return phase;
}

template <class W>
Tensor merged_weight(const Conv2dSizes& z, const GradientPhase& phase, const W* weight) {
  const auto& [stride, padding, dilation, groups] = z.params;
  const Reach rows(z.kernel_h, z.params);
  const Reach columns(z.kernel_w, z.params);
  const std::int64_t channels = z.in_channels;
  Tensor all = Tensor::zeros({z.out_channels, rows.taps(), columns.taps(), phase.sizes.in_channels},
                             {dtype_of<W>, {}});
  for (std::int64_t o = 0; o < z.out_channels; ++o)
    for (std::int64_t r = 0; r < z.kernel_h; ++r)
      for (std::int64_t v = 0; v < z.kernel_w; ++v, weight += channels) {
        const std::int64_t h = r * dilation - padding;
        const std::int64_t w = v * dilation - padding;
        const std::int64_t q = divide_down(h, stride);
        const std::int64_t t = divide_down(w, stride);
        const std::int64_t tap = (o * rows.taps() + q - rows.first) * columns.taps() + t - columns.first;
        const std::int64_t part = (h - q * stride) * stride + w - t * stride;
        std::copy_n(weight, channels, all.data<W>() + (tap * stride * stride + part) * channels);
      }
  return all;
}

}  // namespace

bool merging_pays(const Conv2dSizes& z) {
  constexpr std::int64_t kCols = 32;  // of a tile
  const auto [stride, padding, dilation, groups] = z.params;
  if (stride == 1 || groups != 1) return false;
  const std::int64_t merged = Reach(z.kernel_h, z.params).taps() * Reach(z.kernel_w, z.params).taps() *
                              divide_up(stride * stride * z.in_channels, kCols);
  return 2 * merged <= z.kernel_h * z.kernel_w * divide_up(z.in_channels, kCols);
}

template <class T, class W>
MergedPhases<T, W>::MergedPhases(const Conv2dSizes& z, const W* weight)
    : z_(z),
      phase_(only_phase(z)),
      weight_(merged_weight(z, phase_, weight)),
      u_(Tensor::empty({z.batch, phase_.sizes.in_h, phase_.sizes.in_w, phase_.sizes.in_channels},
                       {dtype_of<T>, {}})) {}

template <class T, class W>
void MergedPhases<T, W>::write(T* dx, bool add) const {
  const std::int64_t stride = z_.params.stride;
  const std::int64_t run = stride * z_.in_channels;  // of one row of dx, out of each pixel of u
  const T* const u = u_.template data<T>();
  parallel_for(z_.batch * z_.in_h, 8, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t line = begin; line < end; ++line) {
      const std::int64_t n = line / z_.in_h;
      const std::int64_t h = line % z_.in_h;
      const std::int64_t row = (n * sizes().in_h + h / stride) * sizes().in_w;
      const T* const from = u + row * stride * run + h % stride * run;
      T* const to = dx + line * z_.in_w * z_.in_channels;
      const std::int64_t count = z_.in_w * z_.in_channels;
      for (std::int64_t at = 0; at < count; at += run) {
        const T* const part = from + at / run * stride * run;
        for (std::int64_t i = 0; i < std::min(run, count - at); ++i)
          to[at + i] = add ? static_cast<T>(widened(to[at + i]) + widened(part[i])) : part[i];
      }
    }
  });
}

template class MergedPhases<float>;
template class MergedPhases<double>;
template class MergedPhases<bfloat16, float>;

}  // namespace dcl::tensor::cpu
