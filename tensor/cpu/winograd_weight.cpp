// dg = Gᵀ [ Σ_tiles (A dy Aᵀ) ⊙ (Bᵀ d B) ] G: for each of the 36 points one product over the tiles, summed
// before it is transformed back.
#include <algorithm>

#include "tensor/cpu/microkernel.h"
#include "tensor/cpu/ranges.h"
#include "tensor/cpu/threads.h"
#include "tensor/cpu/winograd.h"
#include "tensor/cpu/winograd_tiles.h"

namespace dcl::tensor::cpu {

namespace {

constexpr std::int64_t kTaps = 9;
constexpr std::int64_t kPadding = 16;
// Tiles transformed at a time: their planes of one point stay in the second-level cache.
constexpr std::int64_t kTilesAtOnce = 256;
// Longest sum in registers.
constexpr std::int64_t kDepth = 128;

template <class X>
class WeightGradient {
 public:
  using T = Compute<X>;

  WeightGradient(const Conv2dSizes& z, const X* dy, const X* x)
      : z_(z),
        tiles_(z.batch, z.out_h, z.out_w),
        dy_{dy, z.out_h, z.out_w, z.out_channels},
        x_{x, z.in_h, z.in_w, z.in_channels},
        strips_(divide_up(z.out_channels, kernel_.narrow_rows)),
        panels_(divide_up(z.in_channels, kernel_.cols)),
        most_(std::min(kTilesAtOnce, tiles_.total())),
        d_stride_(z.out_channels + kPadding),
        v_stride_(panels_ * kernel_.cols + kPadding),
        outside_(Tensor::zeros({std::max(z.in_channels, z.out_channels)}, {dtype_of<X>, {}})),
        zeros_(Tensor::zeros({kernel_.cols}, options)),
        d_plane_(winograd_plane<T>(most_ * d_stride_)),
        v_plane_(winograd_plane<T>(most_ * v_stride_)),
        d_(Tensor::empty({kWinogradPoints, d_plane_}, options)),
        v_(Tensor::empty({kWinogradPoints, v_plane_}, options)),
        sums_(Tensor::empty({kWinogradPoints, strips_ * kernel_.narrow_rows, panels_ * kernel_.cols},
                            options)) {}

  void run(T* dweight) {
    if (tiles_.total() == 0) {
      std::fill_n(dweight, z_.out_channels * kTaps * z_.in_channels, T(0));
      return;
    }
    for (std::int64_t begin = 0; begin < tiles_.total(); begin += most_) {
      const std::int64_t end = std::min(begin + most_, tiles_.total());
      transform(begin, end);
      multiply(end - begin, begin == 0);
    }
    transform_back(dweight);
  }

 private:
  static constexpr TensorOptions options{dtype_of<T>, {}};

  void transform(std::int64_t begin, std::int64_t end) {
    const X* const zeros = std::as_const(outside_).template data<X>();
    T* const d = d_.template data<T>();
    T* const v = v_.template data<T>();
    parallel_for(end - begin, 4, [&](std::int64_t first, std::int64_t last) {
      for (std::int64_t t = first; t < last; ++t) {
        winograd_kernels<X>().output_gradient(tiles_.pixels<kWinogradOut>(dy_, begin + t, 0, zeros).data(),
                                              z_.out_channels, d + t * d_stride_, d_plane_);
        winograd_kernels<X>().input(
            tiles_.pixels<kWinogradIn>(x_, begin + t, z_.params.padding, zeros).data(), z_.in_channels,
            v + t * v_stride_, v_plane_);
      }
    });
  }

  // sums[point] (+)= dᵀ · v over `count` tiles.
  void multiply(std::int64_t count, bool overwrite) {
    parallel_for(kWinogradPoints * strips_, 1, [&](std::int64_t first, std::int64_t last) {
      for (std::int64_t task = first; task < last; ++task)
        for (std::int64_t begin = 0; begin < count; begin += kDepth)
          multiply_strip(task / strips_, task % strips_, begin, std::min(begin + kDepth, count),
                         overwrite && begin == 0);
    });
  }

  void multiply_strip(std::int64_t point, std::int64_t strip, std::int64_t begin, std::int64_t end,
                      bool overwrite) {
    const T* const zeros = std::as_const(zeros_).template data<T>();
    const T* const d =
        d_.template data<T>() + point * d_plane_ + begin * d_stride_ + strip * kernel_.narrow_rows;
    const T* const v = v_.template data<T>() + point * v_plane_ + begin * v_stride_;
    T* const sums =
        sums_.template data<T>() + (point * strips_ + strip) * kernel_.narrow_rows * panels_ * kernel_.cols;
    std::array<T*, kMaxTileRows> rows;
    for (std::int64_t column = 0; column < panels_ * kernel_.cols; column += kernel_.cols) {
      for (std::int64_t i = 0; i < kernel_.narrow_rows; ++i)
        rows[static_cast<std::size_t>(i)] = sums + i * panels_ * kernel_.cols + column;
      kernel_.run_columns(d, d_stride_, v + column, v_stride_, end - begin, overwrite ? zeros : nullptr,
                          rows.data());
    }
  }

  void transform_back(T* dweight) {
    const std::int64_t row = panels_ * kernel_.cols;
    parallel_for(z_.out_channels, 4, [&](std::int64_t first, std::int64_t last) {
      for (std::int64_t o = first; o < last; ++o) {
        std::array<T*, kTaps> taps;
        for (std::int64_t k = 0; k < kTaps; ++k)
          taps[static_cast<std::size_t>(k)] = dweight + (o * kTaps + k) * z_.in_channels;
        winograd_kernels<X>().weight_gradient(sums_.template data<T>() + o * row,
                                              strips_ * kernel_.narrow_rows * row, z_.in_channels,
                                              taps.data());
      }
    });
  }

  const Microkernel<T>& kernel_ = microkernel<T>();
  const Conv2dSizes& z_;
  WinogradTiles tiles_;
  Pictures<const X> dy_, x_;
  std::int64_t strips_, panels_, most_, d_stride_, v_stride_;
  Tensor outside_, zeros_;
  std::int64_t d_plane_, v_plane_;
  Tensor d_, v_, sums_;
};

}  // namespace

template <class X>
void conv2d_backward_weight_winograd(const Conv2dSizes& z, const X* dy, const X* x, Compute<X>* dweight) {
  WeightGradient<X>(z, dy, x).run(dweight);
}

template void conv2d_backward_weight_winograd<float>(const Conv2dSizes&, const float*, const float*, float*);
template void conv2d_backward_weight_winograd<double>(const Conv2dSizes&, const double*, const double*,
                                                      double*);
template void conv2d_backward_weight_winograd<bfloat16>(const Conv2dSizes&, const bfloat16*, const bfloat16*,
                                                        float*);

}  // namespace dcl::tensor::cpu
