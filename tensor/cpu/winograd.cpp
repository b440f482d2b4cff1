#include "tensor/cpu/winograd.h"

#include <algorithm>

#include "tensor/cpu/microkernel.h"
#include "tensor/cpu/threads.h"
#include "tensor/cpu/winograd_tiles.h"

namespace dcl::tensor::cpu {

namespace {

constexpr std::int64_t kTaps = 9;
// Rows of the transformed pixels lie this much more than their length apart, so that they do not all fall on
// the same cache sets.
constexpr std::int64_t kPadding = 16;

std::int64_t divide_up(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

// The transformed kernels, 36 matrices [depth,cols] as the microkernel reads them: for each panel of its
// columns the 36 [depth, panel] one behind the other.
template <class T>
class TransformedWeights {
 public:
  // Of a convolution, from weight [cols,3,3,depth]: the kernels of a panel are turned, some channels at a
  // time, so that a vector holds neighbouring columns.
  static TransformedWeights forward(std::int64_t depth, std::int64_t cols, const T* weight) {
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

  // Of its input gradient, from the same weight, now [depth,3,3,cols]: the taps run backwards.
  static TransformedWeights backward(std::int64_t depth, std::int64_t cols, const T* weight) {
    TransformedWeights u(depth, cols);
    parallel_for(u.panels(), 1, [&](std::int64_t first, std::int64_t last) {
      for (std::int64_t panel = first; panel < last; ++panel)
        for (std::int64_t p = 0; p < depth; ++p)
          u.transform(panel, p, taps_of(weight + p * kTaps * cols + panel * u.width_, cols, true));
    });
    return u;
  }

  std::int64_t depth() const { return depth_; }
  std::int64_t cols() const { return cols_; }
  std::int64_t width() const { return width_; }
  std::int64_t panels() const { return divide_up(cols_, width_); }
  std::int64_t filled(std::int64_t panel) const { return std::min(width_, cols_ - panel * width_); }
  const T* matrix(std::int64_t panel, std::int64_t point) const {
    return values_ + (panel * kWinogradPoints + point) * depth_ * width_;
  }

 private:
  TransformedWeights(std::int64_t depth, std::int64_t cols)
      : depth_(depth),
        cols_(cols),
        width_(microkernel<T>().cols),
        storage_(Tensor::empty({panels(), kWinogradPoints, depth, width_}, {dtype_of<T>, {}})),
        values_(storage_.template data<T>()) {}

  static std::array<const T*, kTaps> taps_of(const T* kernel, std::int64_t distance, bool backwards) {
    std::array<const T*, kTaps> taps;
    for (std::int64_t k = 0; k < kTaps; ++k)
      taps[static_cast<std::size_t>(k)] = kernel + (backwards ? kTaps - 1 - k : k) * distance;
    return taps;
  }

  // Row p of the panel's 36 matrices.
  void transform(std::int64_t panel, std::int64_t p, const std::array<const T*, kTaps>& taps) {
    winograd_kernels<T>().weight(taps.data(), filled(panel),
                                 values_ + (panel * kWinogradPoints * depth_ + p) * width_, depth_ * width_);
  }

  std::int64_t depth_, cols_, width_;
  Tensor storage_;
  T* values_;
};

// Tiles that a thread transforms and multiplies at a time: more where there are many channels, so that the
// transformed kernels, which then lie far away, are fetched less often.
std::int64_t tiles_at_once(std::int64_t channels) { return channels <= 64 ? 56 : channels <= 128 ? 84 : 112; }

// One thread's share of a convolution.
template <class T>
class TileRun {
 public:
  TileRun(const Pictures<const T>& x, std::int64_t padding, const TransformedWeights<T>& u, const T* bias,
          const Pictures<T>& y, const WinogradTiles& tiles, std::int64_t most)
      : x_(x),
        padding_(padding),
        u_(u),
        bias_(bias),
        y_(y),
        tiles_(tiles),
        most_(divide_up(most, kernel_.rows) * kernel_.rows),
        stride_(u.depth() + kPadding),
        outside_(Tensor::zeros({std::max(u.depth(), u.width())}, {dtype_of<T>, {}})),
        nowhere_(Tensor::empty({u.width()}, {dtype_of<T>, {}})),
        v_plane_(winograd_plane<T>(most_ * stride_)),
        m_plane_(winograd_plane<T>(most_ * u.width())),
        v_(Tensor::empty({kWinogradPoints, v_plane_}, {dtype_of<T>, {}})),
        m_(Tensor::empty({kWinogradPoints, m_plane_}, {dtype_of<T>, {}})) {}

  void run(std::int64_t begin, std::int64_t end) {
    T* const v = v_.template data<T>();
    const T* const zeros = outside_.template data<T>();
    for (std::int64_t t = begin; t < end; ++t)
      winograd_kernels<T>().input(tiles_.pixels<kWinogradIn>(x_, t, padding_, zeros).data(), u_.depth(),
                                  v + (t - begin) * stride_, v_plane_);
    for (std::int64_t panel = 0; panel < u_.panels(); ++panel) {
      multiply(panel, end - begin);
      write(panel, begin, end);
    }
  }

 private:
  // m = v · u for the columns of a panel. The rows that fill up the last strip are products of whatever lies
  // there; nobody reads them.
  void multiply(std::int64_t panel, std::int64_t count) {
    const T* const zeros = std::as_const(outside_).template data<T>();
    std::array<T*, kMaxTileRows> rows;
    for (std::int64_t point = 0; point < kWinogradPoints; ++point)
      for (std::int64_t t = 0; t < count; t += kernel_.rows) {
        T* const out = m_.template data<T>() + point * m_plane_ + t * u_.width();
        for (std::int64_t i = 0; i < kernel_.rows; ++i)
          rows[static_cast<std::size_t>(i)] = out + i * u_.width();
        kernel_.run_rows(v_.template data<T>() + point * v_plane_ + t * stride_, stride_,
                         u_.matrix(panel, point), u_.depth(), zeros, rows.data());
      }
  }

  void write(std::int64_t panel, std::int64_t begin, std::int64_t end) {
    const std::int64_t column = panel * u_.width();
    const Pictures<T> y{y_.data + column, y_.h, y_.w, y_.channels};
    for (std::int64_t t = begin; t < end; ++t) {
      // Pixels of a tile that hangs over the edge go nowhere.
      const auto pixels = tiles_.pixels<kWinogradOut>(y, t, 0, nowhere_.template data<T>());
      winograd_kernels<T>().output(m_.template data<T>() + (t - begin) * u_.width(), m_plane_,
                                   u_.filled(panel), bias_ == nullptr ? nullptr : bias_ + column,
                                   pixels.data());
    }
  }

  const Microkernel<T>& kernel_ = microkernel<T>();
  Pictures<const T> x_;
  std::int64_t padding_;
  const TransformedWeights<T>& u_;
  const T* bias_;
  Pictures<T> y_;
  WinogradTiles tiles_;
  std::int64_t most_, stride_;
  Tensor outside_, nowhere_;
  std::int64_t v_plane_, m_plane_;
  Tensor v_, m_;
};

template <class T>
void run_tiles(const Pictures<const T>& x, std::int64_t padding, const TransformedWeights<T>& u,
               const T* bias, const Pictures<T>& y, const WinogradTiles& tiles) {
  // As many chunks as make the threads' shares equal; where there are few tiles, small ones.
  const std::int64_t threads = num_threads();
  const std::int64_t strips = divide_up(tiles.total(), microkernel<T>().rows);
  const std::int64_t wanted =
      divide_up(divide_up(tiles.total(), tiles_at_once(std::max(u.depth(), u.cols()))), threads) * threads;
  const std::int64_t chunks = std::min(strips, wanted);
  parallel_for(chunks, 1, [&](std::int64_t first, std::int64_t last) {
    TileRun<T> run(x, padding, u, bias, y, tiles, (divide_up(strips, chunks))*microkernel<T>().rows);
    for (std::int64_t chunk = first; chunk < last; ++chunk)
      run.run(strips * chunk / chunks * microkernel<T>().rows,
              std::min(tiles.total(), strips * (chunk + 1) / chunks * microkernel<T>().rows));
  });
}

}  // namespace

bool winograd_fits(const Conv2dSizes& z) {
  return z.kernel_h == 3 && z.kernel_w == 3 && z.params.stride == 1 && z.params.dilation == 1 &&
         z.params.groups == 1 && z.params.padding <= 2 && z.in_channels % kWinogradChannels == 0 &&
         z.out_channels % kWinogradChannels == 0;
}

bool winograd_pays(const Conv2dSizes& z) {
  if (!winograd_fits(z)) return false;
  // Products with a pixel outside the picture are left out by the direct way (border.h), not by this one.
  const std::int64_t p = z.params.padding;
  const auto live = [p](std::int64_t in, std::int64_t out) {
    std::int64_t count = 0;
    for (std::int64_t tap = -p; tap < 3 - p; ++tap)
      for (std::int64_t i = 0; i < out; ++i) count += i + tap >= 0 && i + tap < in ? 1 : 0;
    return count;
  };
  const std::int64_t direct = z.batch * live(z.in_h, z.out_h) * live(z.in_w, z.out_w);
  const std::int64_t here = WinogradTiles(z.batch, z.out_h, z.out_w).total() * kWinogradPoints;
  return z.in_channels >= 32 && z.out_channels >= 32 && here * 10 <= direct * 6;
}

template <class T>
void conv2d_winograd(const Conv2dSizes& z, const T* x, const T* weight, const T* bias, T* y) {
  const auto u = TransformedWeights<T>::forward(z.in_channels, z.out_channels, weight);
  run_tiles<T>({x, z.in_h, z.in_w, z.in_channels}, z.params.padding, u, bias,
               {y, z.out_h, z.out_w, z.out_channels}, {z.batch, z.out_h, z.out_w});
}

// A convolution of dy with the kernels turned round and their channels exchanged.
template <class T>
void conv2d_backward_input_winograd(const Conv2dSizes& z, const T* dy, const T* weight, T* dx) {
  const auto u = TransformedWeights<T>::backward(z.out_channels, z.in_channels, weight);
  run_tiles<T>({dy, z.out_h, z.out_w, z.out_channels}, 2 - z.params.padding, u, nullptr,
               {dx, z.in_h, z.in_w, z.in_channels}, {z.batch, z.in_h, z.in_w});
}

template void conv2d_winograd<float>(const Conv2dSizes&, const float*, const float*, const float*, float*);
template void conv2d_backward_input_winograd<float>(const Conv2dSizes&, const float*, const float*, float*);
template void conv2d_winograd<double>(const Conv2dSizes&, const double*, const double*, const double*,
                                      double*);
template void conv2d_backward_input_winograd<double>(const Conv2dSizes&, const double*, const double*,
                                                     double*);

}  // namespace dcl::tensor::cpu
