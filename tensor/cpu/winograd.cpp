#include "tensor/cpu/winograd.h"

#include <algorithm>

#include "tensor/cpu/microkernel.h"
#include "tensor/cpu/ranges.h"
#include "tensor/cpu/threads.h"
#include "tensor/cpu/transformed_weights.h"
#include "tensor/cpu/winograd_tiles.h"

namespace dcl::tensor::cpu {

namespace {

// Rows of the transformed pixels lie this much more than their length apart, so that they do not all fall on
// the same cache sets.
constexpr std::int64_t kPadding = 16;

// Tiles that a thread transforms and multiplies at a time: more where there are many channels, so that the
// transformed kernels, which then lie far away, are fetched less often.
std::int64_t tiles_at_once(std::int64_t channels) { return channels <= 64 ? 56 : channels <= 128 ? 84 : 112; }

// Some of the tiles, which are a part of the epilogue's moments, and some of the panels of output channels.
struct Share {
  std::int64_t begin, end;
  std::int64_t part;
  std::int64_t first_panel, last_panel;
};

// The transformed kernels, or how they are transformed.
template <class X>
struct Kernels {
  WinogradPanels<Compute<X>> sizes;
  const WeightTransform<X>* transform;
  const TransformedWeights<X>* ready;

  explicit Kernels(const WeightTransform<X>& to_do)
      : sizes(to_do.sizes()), transform(&to_do), ready(nullptr) {}
  explicit Kernels(const TransformedWeights<X>& done)
      : sizes(done.sizes()), transform(nullptr), ready(&done) {}
};

// How a convolution is cut into chunks of tiles and groups of panels.
struct Cut {
  bool by_panels;
  std::int64_t chunks, groups;

  template <class T>
  Cut(const WinogradTiles& tiles, const WinogradPanels<T>& u, bool moments) {
    const std::int64_t least = divide_up(tiles.total(), tiles_at_once(std::max(u.depth(), u.cols())));
    // Where there are fewer tiles than channels, the transformed kernels are the larger operand: each task
    // reads its own part of them, and transforms all tiles of a chunk.
    by_panels = tiles.total() < u.cols();
    chunks = by_panels ? least
                       : std::min(divide_up(tiles.total(), microkernel<T>().rows),
                                  std::max(least, row_tasks(moments)));
    groups = by_panels ? std::min(u.panels(), dear_tasks()) : column_groups(u.panels(), chunks, moments);
  }
};

// One thread's share of a convolution.
template <class X>
class TileRun {
 public:
  using T = Compute<X>;

  /// Of at most `most` tiles at a time.
  TileRun(const Pictures<const X>& x, std::int64_t padding, const Kernels<X>& kernels,
          const Epilogue<X>& epilogue, const Pictures<X>& y, const WinogradTiles& tiles, std::int64_t most)
      : x_(x),
        padding_(padding),
        kernels_(kernels),
        u_(kernels_.sizes),
        epilogue_(epilogue),
        y_(y),
        tiles_(tiles),
        stride_(u_.depth() + kPadding),
        outside_(Tensor::zeros({std::max(u_.depth(), u_.width())}, {dtype_of<X>, {}})),
        nowhere_(Tensor::empty({u_.width()}, {dtype_of<X>, {}})),
        no_bias_(Tensor::zeros({u_.width()}, {dtype_of<T>, {}})),
        v_plane_(winograd_plane<T>(most * stride_)),
        m_plane_(winograd_plane<T>(most * u_.width())),
        v_(Tensor::empty({kWinogradPoints, v_plane_}, {dtype_of<T>, {}})),
        m_(Tensor::empty({kWinogradPoints, m_plane_}, {dtype_of<T>, {}})),
        panel_(Tensor::empty({kWinogradPoints, kernels_.ready == nullptr ? u_.plane() : 0},
                             {dtype_of<T>, {}})) {}

  void run(const Share& share) {
    T* const v = v_.template data<T>();
    const X* const zeros = outside_.template data<X>();
    // Shares of the same tiles differ in their panels only.
    if (share.begin != transformed_)
      for (std::int64_t t = share.begin; t < share.end; ++t)
        winograd_kernels<X>().input(tiles_.pixels<kWinogradIn>(x_, t, padding_, zeros).data(), u_.depth(),
                                    v + (t - share.begin) * stride_, v_plane_);
    transformed_ = share.begin;
    for (std::int64_t panel = share.first_panel; panel < share.last_panel; ++panel) {
      multiply(matrices(panel), share.end - share.begin);
      write(panel, share);
    }
  }

 private:
  using TilePixels = std::array<X*, kWinogradOut * kWinogradOut>;

  const T* matrices(std::int64_t panel) {
    if (kernels_.ready != nullptr) return kernels_.ready->panel(panel);
    kernels_.transform->transform(panel, panel_.template data<T>());
    return panel_.template data<T>();
  }

  // m = v · u for the columns of a panel, in strips of about the same height.
  void multiply(const T* u, std::int64_t count) {
    const TileEnd<T> overwrite{.bias = std::as_const(no_bias_).template data<T>()};
    const std::int64_t strips = divide_up(count, kernel_.rows);
    std::array<T*, kMaxTileRows> rows;
    for (std::int64_t point = 0; point < kWinogradPoints; ++point)
      for (std::int64_t strip = 0; strip < strips; ++strip) {
        const std::int64_t t = count * strip / strips;
        const std::int64_t height = count * (strip + 1) / strips - t;
        T* const out = m_.template data<T>() + point * m_plane_ + t * u_.width();
        for (std::int64_t i = 0; i < height; ++i) rows[static_cast<std::size_t>(i)] = out + i * u_.width();
        kernel_.run_rows[static_cast<std::size_t>(height)](
            v_.template data<T>() + point * v_plane_ + t * stride_, stride_, u + point * u_.plane(),
            u_.depth(), overwrite, rows.data());
      }
  }

  void write(std::int64_t panel, const Share& share) {
    const std::int64_t column = panel * u_.width();
    const auto panel_of = [&]<class P>(P* data) {
      return Pictures<P>{data + column, y_.h, y_.w, y_.channels};
    };
    WinogradEnd<X> end{.bias = epilogue_.bias == nullptr ? nullptr : epilogue_.bias + column,
                       .relu = epilogue_.relu};
    for (std::int64_t t = share.begin; t < share.end; ++t) {
      // Pixels of a tile that hangs over the edge go nowhere.
      const TilePixels pixels =
          tiles_.pixels<kWinogradOut>(panel_of(y_.data), t, 0, nowhere_.template data<X>());
      std::array<const X*, kWinogradOut * kWinogradOut> residual;
      if (epilogue_.residual != nullptr) {
        residual = tiles_.pixels<kWinogradOut>(panel_of(epilogue_.residual), t, 0,
                                               std::as_const(outside_).template data<X>());
        end.residual = residual.data();
      }
      winograd_kernels<X>().output(m_.template data<T>() + (t - share.begin) * u_.width(), m_plane_,
                                   u_.filled(panel), end, pixels.data());
      if (epilogue_.moments != nullptr) add_moments(pixels, panel, share.part, t - share.begin);
    }
  }

  // Of the pixels of a tile that the picture has.
  void add_moments(const TilePixels& pixels, std::int64_t panel, std::int64_t part,
                   std::int64_t index) const {
    std::array<const X*, kWinogradOut * kWinogradOut> rows;
    const auto end = std::copy_if(pixels.begin(), pixels.end(), rows.begin(),
                                  [&](const X* pixel) { return pixel != nowhere_.template data<X>(); });
    epilogue_.moments->add(part, index, epilogue_.first_channel + panel * u_.width(),
                           TileRows<X>{rows.data(), end - rows.begin(), u_.filled(panel)});
  }

  const Microkernel<T>& kernel_ = microkernel<T>();
  Pictures<const X> x_;
  std::int64_t padding_;
  Kernels<X> kernels_;
  const WinogradPanels<T>& u_;
  Epilogue<X> epilogue_;
  Pictures<X> y_;
  WinogradTiles tiles_;
  std::int64_t stride_;
  Tensor outside_, nowhere_, no_bias_;
  std::int64_t v_plane_, m_plane_;
  Tensor v_, m_, panel_;
  std::int64_t transformed_ = -1;  // first tile of what is in v
};

template <class X>
void run_tiles(const Pictures<const X>& x, std::int64_t padding, const Kernels<X>& kernels,
               const Epilogue<X>& epilogue, const Pictures<X>& y, const WinogradTiles& tiles) {
  if (tiles.total() == 0) return;
  const auto& u = kernels.sizes;
  const bool moments = epilogue.moments != nullptr;
  const Cut cut(tiles, u, moments);
  // A panel that one task reads once is better transformed by it, and never written to memory: all of them
  // are four times as large as the kernels.
  if (kernels.ready == nullptr && (!cut.by_panels || cut.chunks > 1)) {
    const TransformedWeights<X> all(*kernels.transform);
    return run_tiles<X>(x, padding, Kernels<X>(all), epilogue, y, tiles);
  }
  if (moments) epilogue.moments->set_parts(cut.chunks);
  parallel_items(cut.chunks * cut.groups, [&](Items& items) {
    TileRun<X> run(x, padding, kernels, epilogue, y, tiles, divide_up(tiles.total(), cut.chunks));
    for (std::int64_t task = 0; items.take(task);) {
      const std::int64_t chunk = task / cut.groups;
      const std::int64_t group = task % cut.groups;
      run.run({tiles.total() * chunk / cut.chunks, tiles.total() * (chunk + 1) / cut.chunks, chunk,
               u.panels() * group / cut.groups, u.panels() * (group + 1) / cut.groups});
    }
  });
}

}  // namespace

bool winograd_fits(const Conv2dSizes& z) {
  return z.kernel_h == 3 && z.kernel_w == 3 && z.params.stride == 1 && z.params.dilation == 1 &&
         z.params.groups == 1 && z.params.padding <= 2 && z.in_channels % kWinogradChannels == 0 &&
         z.out_channels % kWinogradChannels == 0;
}

double winograd_share(const Conv2dSizes& z) {
  // Products with a pixel outside the picture are left out by the direct way (border.h), not by this one.
  const std::int64_t p = z.params.padding;
  const auto live = [p](std::int64_t in, std::int64_t out) {
    std::int64_t count = 0;
    for (std::int64_t tap = -p; tap < 3 - p; ++tap)
      for (std::int64_t i = 0; i < out; ++i) count += i + tap >= 0 && i + tap < in ? 1 : 0;
    return count;
  };
  const std::int64_t direct = live(z.in_h, z.out_h) * live(z.in_w, z.out_w);
  const std::int64_t here = WinogradTiles(1, z.out_h, z.out_w).total() * kWinogradPoints;
  return static_cast<double>(here) / static_cast<double>(direct);
}

bool winograd_pays(const Conv2dSizes& z, double most_share) {
  return winograd_fits(z) && z.in_channels >= 32 && z.out_channels >= 32 && winograd_share(z) <= most_share;
}

namespace {

template <class X>
void forward(const Conv2dSizes& z, const X* x, const Kernels<X>& kernels, const Epilogue<X>& end, X* y) {
  run_tiles<X>({x, z.in_h, z.in_w, z.in_channels}, z.params.padding, kernels, end,
               {y, z.out_h, z.out_w, z.out_channels}, {z.batch, z.out_h, z.out_w});
}

}  // namespace

template <class X>
void conv2d_winograd(const Conv2dSizes& z, const X* x, const Compute<X>* weight, const Epilogue<X>& end,
                     X* y) {
  const auto transform = WeightTransform<X>::forward(z.in_channels, z.out_channels, weight);
  forward<X>(z, x, Kernels<X>(transform), end, y);
}

template <class X>
void conv2d_winograd(const Conv2dSizes& z, const X* x, const TransformedWeights<X>& weight,
                     const Epilogue<X>& end, X* y) {
  forward<X>(z, x, Kernels<X>(weight), end, y);
}

// A convolution of dy with the kernels turned round and their channels exchanged.
template <class X>
void conv2d_backward_input_winograd(const Conv2dSizes& z, const X* dy, const Compute<X>* weight, X* dx,
                                    bool add) {
  const auto u = WeightTransform<X>::backward(z.out_channels, z.in_channels, weight);
  run_tiles<X>({dy, z.out_h, z.out_w, z.out_channels}, 2 - z.params.padding, Kernels<X>(u),
               {.residual = add ? dx : nullptr}, {dx, z.in_h, z.in_w, z.in_channels},
               {z.batch, z.in_h, z.in_w});
}

template void conv2d_winograd<float>(const Conv2dSizes&, const float*, const TransformedWeights<float>&,
                                     const Epilogue<float>&, float*);
template void conv2d_winograd<float>(const Conv2dSizes&, const float*, const float*, const Epilogue<float>&,
                                     float*);
template void conv2d_backward_input_winograd<float>(const Conv2dSizes&, const float*, const float*, float*,
                                                    bool);
template void conv2d_winograd<double>(const Conv2dSizes&, const double*, const TransformedWeights<double>&,
                                      const Epilogue<double>&, double*);
template void conv2d_winograd<double>(const Conv2dSizes&, const double*, const double*,
                                      const Epilogue<double>&, double*);
template void conv2d_backward_input_winograd<double>(const Conv2dSizes&, const double*, const double*,
                                                     double*, bool);
template void conv2d_winograd<bfloat16>(const Conv2dSizes&, const bfloat16*,
                                        const TransformedWeights<bfloat16>&, const Epilogue<bfloat16>&,
                                        bfloat16*);
template void conv2d_winograd<bfloat16>(const Conv2dSizes&, const bfloat16*, const float*,
                                        const Epilogue<bfloat16>&, bfloat16*);
template void conv2d_backward_input_winograd<bfloat16>(const Conv2dSizes&, const bfloat16*, const float*,
                                                       bfloat16*, bool);

}  // namespace dcl::tensor::cpu
