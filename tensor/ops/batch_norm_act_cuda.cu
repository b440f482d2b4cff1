// Own kernels rather than cuDNN's: they know groups of the batch, float64, bfloat16 beside float32
// parameters, need no plans, and are tested in the emulation.
//
// All are bound by memory. With |x| for the bytes of x, forward reads x for its statistics and once more for
// y, and writes y: 3|x|, with a residual 4|x|. Backward reads grad_y and x twice and writes grad_x: 5|x|;
// behind residual and ReLU it reads y and writes g too: 7|x|. At 4.3 TB/s the floor for [256,112,112,64] in
// bfloat16 (411 MB) is 287 µs forward and 478 µs backward. The second sweep begins where the first has
// ended, with what is still in the L2 cache (50 MB).
#include <cmath>
#include <initializer_list>

#include "tensor/ops/batch_norm_act.h"
#include "tensor/ops/batch_norm_act_tiles.cuh"

namespace dcl::tensor::cuda {
namespace {

using namespace batch_norm;  // NOLINT: what the kernels are written with

// sums[part] = Σ (x − shift) and Σ (x − shift)², shift the first row of the chunk: so a variance does not
// suffer from a large mean. In T only what is relative to the first of a few rows; what that row is away from
// shift, by e, in double:
//
//   Σ (x − shift) = Σ d + rows·e        Σ (x − shift)² = Σ d² + e·(2·Σ d + rows·e)        d = x − first row
template <int width, class X>
__global__ void __launch_bounds__(kThreads, 3) sum_moments(Tiles tiles, const X* x, double* sums) {
  using T = Compute<X>;
  const Place place(tiles, blockIdx.x, width);
  double sum[width] = {};
  double sum_squares[width] = {};
  if (place.begin < place.end) {
    const Numbers<X, width, 1> shift(x + place.group * tiles.group_rows * tiles.channels + place.channel, 0);
    place.for_rows([&]<int rows>(std::int64_t r) {
      const Numbers<X, width, rows> numbers(x + r * tiles.channels + place.channel,
                                            place.step * tiles.channels);
      for (int v = 0; v < width; ++v) {
        T s = 0;
        T q = 0;
        for (int k = 1; k < rows; ++k) {
          const T d = numbers(k, v) - numbers(0, v);
          s += d;
          q += d * d;
        }
        const double e = static_cast<double>(numbers(0, v)) - static_cast<double>(shift(0, v));
        sum[v] += static_cast<double>(s) + rows * e;
        sum_squares[v] += static_cast<double>(q) + e * (2 * static_cast<double>(s) + rows * e);
      }
    });
  }
  store_sums<width>(tiles, place, sum, sum_squares, sums);
}

template <class T>
struct Statistics {
  T* mean;          // [G,C]
  T* invstd;        // [G,C]
  T* running_mean;  // [C], or null
  T* running_var;
};

// mean and invstd from the shifted sums; running = (1 − momentum)·running + momentum·statistic, with the
// unbiased variance of the first chunk.
template <class X, class T = Compute<X>>
__global__ void finish_moments(Tiles tiles, const X* x, const double* sums, double momentum, double eps,
                               Statistics<T> out) {
  const auto rows = static_cast<double>(tiles.group_rows);
  const auto move = [&](T& running, double statistic) {
    running = static_cast<T>((1 - momentum) * static_cast<double>(running) + momentum * statistic);
  };
  sum_parts(tiles, sums, [&](std::int64_t group, std::int64_t c, double sum, double sum_squares) {
    const double shift = static_cast<double>(widened(x[group * tiles.group_rows * tiles.channels + c]));
    const double mean = shift + sum / rows;
    double squares = sum_squares - sum / rows * sum;
    if (squares < 0) squares = 0;  // NaN stays
    out.mean[group * tiles.channels + c] = static_cast<T>(mean);
    out.invstd[group * tiles.channels + c] = static_cast<T>(1 / std::sqrt(squares / rows + eps));
    if (group != 0 || out.running_mean == nullptr) return;
    move(out.running_mean[c], mean);
    move(out.running_var[c], squares / (rows - 1));
  });
}

// In evaluation.
template <class T>
__global__ void running_statistics(std::int64_t channels, double eps, Statistics<T> out) {
  for (const std::int64_t c : grid_stride(channels)) {
    out.mean[c] = out.running_mean[c];
    out.invstd[c] = static_cast<T>(1 / std::sqrt(static_cast<double>(out.running_var[c]) + eps));
  }
}

// y = act(u + residual); y may be x.
template <bool with_residual, int width, class X, class T = Compute<X>>
__global__ void __launch_bounds__(kThreads, 3)
    apply(Tiles tiles, const X* x, const X* residual, Affine<T> affine, bool relu, X* y) {
  const Place place(tiles, gridDim.x - 1 - blockIdx.x, width);
  const Normalise<width, T> normalise(tiles, place, affine);
  const std::int64_t row_step = place.step * tiles.channels;
  place.for_rows_backwards<with_residual ? kRows / 2 : kRows>([&]<int rows>(std::int64_t r) {
    const std::int64_t at = r * tiles.channels + place.channel;
    const Numbers<X, width, rows> numbers(x + at, row_step);
    const Numbers<X, width, with_residual ? rows : 1> added(with_residual ? residual + at : x + at, row_step);
    unrolled<rows>([&](int k) {
      Pack<X, width> made;
      for (int v = 0; v < width; ++v) {
        T u = normalise.u(normalise.centred(numbers(k, v), v), v);
        if constexpr (with_residual) u += added(k, v);
        made.values[v] = narrowed<X>(relu && u < 0 ? T(0) : u);  // not max(u, 0): NaN has to come through
      }
      store_pack(y + at + k * row_step, made);
    });
  });
}

// The addresses of numbers are multiples of 16 bytes, and so are rows.
bool in_packs(const Tensor& x, std::initializer_list<const Tensor*> tensors) {
  if (x.size(-1) * size_of(x.dtype()) % 16 != 0) return false;
  return std::all_of(tensors.begin(), tensors.end(), [](const Tensor* t) {
    return !t->defined() || reinterpret_cast<std::uintptr_t>(t->raw()) % 16 == 0;
  });
}

// Calls f<width> with the channels that a thread reads at once.
template <class X, class F>
void with_width(bool packs, F f) {
  if (packs)
    f.template operator()<static_cast<int>(16 / sizeof(X))>();
  else
    f.template operator()<1>();
}

template <class T>
Affine<T> affine_of(const BatchNormSaved& saved) {
  return {saved.mean.data<T>(), saved.invstd.data<T>(), saved.weight.data<T>(), saved.bias.data<T>()};
}

template <class X>
const X* data_or_null(const Tensor& t) {
  return t.defined() ? t.data<X>() : nullptr;
}

template <class X>
void apply_to(const BatchNormSaved& saved, std::int64_t groups, const Tensor& residual, bool relu,
              Tensor& y) {
  with_width<X>(in_packs(saved.x, {&saved.x, &residual, &y}), [&]<int width>() {
    const Tiles tiles(saved.x, groups, width);
    launch("batch_norm_act", residual.defined() ? apply<true, width, X> : apply<false, width, X>,
           tiles.launch(), tiles, saved.x.data<X>(), data_or_null<X>(residual), affine_of<Compute<X>>(saved),
           relu, y.data<X>());
  });
}

}  // namespace

BatchNormResult batch_norm_act(const Tensor& x, const Tensor& weight, const Tensor& bias, RunningStats& stats,
                               const BatchNormParams& params, const Tensor& residual,
                               const ChannelMoments& moments) {
  check_batch_norm(x, weight, bias, stats, params, residual);
  check(!moments.defined(), "batch_norm_act: moments are given, expected none on a GPU");
  return dispatch_activation(x.dtype(), "batch_norm_act", [&]<class X>() {
    using T = Compute<X>;
    const std::int64_t groups = params.training ? params.groups : 1;
    const std::int64_t channels = x.size(-1);
    BatchNormResult out{empty_like(x), Tensor::empty({groups, channels}, weight.options()),
                        Tensor::empty({groups, channels}, weight.options())};
    Statistics<T> statistics{out.mean.data<T>(), out.invstd.data<T>(), nullptr, nullptr};
    if (stats.mean.defined()) {
      statistics.running_mean = stats.mean.data<T>();
      statistics.running_var = stats.var.data<T>();
    }
    if (!params.training)
      launch("batch_norm_act", running_statistics<T>,
             {.grid = blocks_for(channels, kThreads), .block = dim3(kThreads)}, channels, params.eps,
             statistics);
    if (x.numel() == 0) return out;
    if (params.training)
      with_width<X>(in_packs(x, {&x}), [&]<int width>() {
        const Tiles tiles(x, groups, width);
        Tensor sums = Tensor::empty({tiles.parts(), 2, channels}, {DType::float64, x.device()});
        launch("batch_norm_act", sum_moments<width, X>, tiles.launch(), tiles, x.data<X>(),
               sums.data<double>());
        launch("batch_norm_act", finish_moments<X>, tiles.finish(), tiles, x.data<X>(), sums.data<double>(),
               params.momentum, params.eps, statistics);
      });
    count_work({0, (params.training ? 2 : 1) * bytes_of({&x}) + bytes_of({&residual, &out.y})});
    apply_to<X>({x, weight, bias, out.mean, out.invstd, {}}, groups, residual, params.relu, out.y);
    return out;
  });
}

Tensor batch_norm_act_again(BatchNormSaved saved, const BatchNormParams& params) {
  return dispatch_activation(saved.x.dtype(), "batch_norm_act", [&]<class X>() {
    Tensor y = saved.x.is_unique() ? saved.x : empty_like(saved.x);
    count_work({0, bytes_of({&saved.x, &y})});
    if (y.numel() > 0) apply_to<X>(saved, params.training ? params.groups : 1, {}, params.relu, y);
    return y;
  });
}

namespace {

// sums[part] = Σ g and Σ g·(x − mean). g is grad_y where the ReLU was open and 0 elsewhere; it was open where
// y > 0 if `by_y` (then g is also written to `masked`, which may be grad_y), where u > 0 if `relu`, else
// everywhere. Like the CPU's it is open where y or u is NaN.
template <bool by_y, int width, class X, class T = Compute<X>>
__global__ void __launch_bounds__(kThreads, 2) reduce(Tiles tiles, const X* grad_y, const X* x, const X* y,
                                                      Affine<T> affine, bool relu, X* masked, double* sums) {
  const Place place(tiles, blockIdx.x, width);
  const Normalise<width, T> normalise(tiles, place, affine);
  const std::int64_t row_step = place.step * tiles.channels;
  double sum_g[width] = {};
  double sum_gx[width] = {};
  place.for_rows<by_y ? kRows / 2 : kRows>([&]<int rows>(std::int64_t r) {
    const std::int64_t at = r * tiles.channels + place.channel;
    Numbers<X, width, rows> g_rows(grad_y + at, row_step);
    const Numbers<X, width, rows> numbers(x + at, row_step);
    if constexpr (by_y) {
      const Numbers<X, width, rows> y_rows(y + at, row_step);
      for (int k = 0; k < rows; ++k) {
        for (int v = 0; v < width; ++v)
          if (y_rows(k, v) <= 0) g_rows.row[k].values[v] = X(0);
        store_pack(masked + at + k * row_step, g_rows.row[k]);
      }
    }
    for (int v = 0; v < width; ++v) {
      T s = 0;
      T q = 0;
      for (int k = 0; k < rows; ++k) {
        const T d = normalise.centred(numbers(k, v), v);
        const T g = relu && normalise.u(d, v) <= 0 ? T(0) : g_rows(k, v);
        s += g;
        q += g * d;
      }
      sum_g[v] += static_cast<double>(s);
      sum_gx[v] += static_cast<double>(q);
    }
  });
  store_sums<width>(tiles, place, sum_g, sum_gx, sums);
}

template <class T>
struct Reduced {
  T* grad_weight;  // [C], or null
  T* grad_bias;    // likewise
  T* mean_g;       // [G,C], or null
  T* slope;        // likewise
};

// dbias = Σ g, dweight = Σ g·(x − mean)·invstd, over all chunks; for the gradient of x mean(g) and
// slope = invstd²·mean(g·(x − mean)) of each.
template <class T>
__global__ void finish_reduce(Tiles tiles, const double* sums, const T* invstd, Reduced<T> out) {
  const auto rows = static_cast<double>(tiles.group_rows);
  double weight = 0;
  double bias = 0;
  sum_parts(tiles, sums, [&](std::int64_t group, std::int64_t c, double sum_g, double sum_gx) {
    const std::int64_t i = group * tiles.channels + c;
    const auto inv = static_cast<double>(invstd[i]);
    weight += sum_gx * inv;
    bias += sum_g;
    if (out.mean_g != nullptr) {
      out.mean_g[i] = static_cast<T>(sum_g / rows);
      out.slope[i] = static_cast<T>(sum_gx / rows * inv * inv);
    }
    if (group + 1 < tiles.groups) return;
    if (out.grad_weight != nullptr) out.grad_weight[c] = static_cast<T>(weight);
    if (out.grad_bias != nullptr) out.grad_bias[c] = static_cast<T>(bias);
  });
}

// dx = scale·(g − mean_g − (x − mean)·slope), which may lie in x; in evaluation the statistics do not depend
// on x, and mean_g and slope are null.
template <int width, class X, class T = Compute<X>>
__global__ void __launch_bounds__(kThreads, 3)
    apply_backward(Tiles tiles, const X* grad_y, const X* x, Affine<T> affine, const T* mean_g,
                   const T* slope, bool relu, X* grad_x) {
  const Place place(tiles, gridDim.x - 1 - blockIdx.x, width);
  const Normalise<width, T> normalise(tiles, place, affine);
  const std::int64_t row_step = place.step * tiles.channels;
  T mean_of_g[width] = {};
  T slope_of[width] = {};
  for (int v = 0; v < width; ++v) {
    if (!mean_g || place.channel >= tiles.channels) continue;
    mean_of_g[v] = mean_g[place.group * tiles.channels + place.channel + v];
    slope_of[v] = slope[place.group * tiles.channels + place.channel + v];
  }
  place.for_rows_backwards<kRows / 2>([&]<int rows>(std::int64_t r) {
    const std::int64_t at = r * tiles.channels + place.channel;
    const Numbers<X, width, rows> g_rows(grad_y + at, row_step);
    const Numbers<X, width, rows> numbers(x + at, row_step);
    unrolled<rows>([&](int k) {
      Pack<X, width> made;
      for (int v = 0; v < width; ++v) {
        const T d = normalise.centred(numbers(k, v), v);
        const T g = relu && normalise.u(d, v) <= 0 ? T(0) : g_rows(k, v);
        const T away = mean_g ? mean_of_g[v] + d * slope_of[v] : T(0);
        made.values[v] = narrowed<X>(normalise.scale[v] * (g - away));
      }
      store_pack(grad_x + at + k * row_step, made);
    });
  });
}

// What backward works on: `masked` is the residual's gradient behind a ReLU, else undefined.
template <class X>
void run_backward(const Tensor& grad_y, const BatchNormSaved& saved, const BatchNormParams& params,
                  Tensor& masked, BatchNormGrads& grads) {
  using T = Compute<X>;
  const bool by_y = masked.defined();
  const bool relu = params.relu && !by_y;
  const X* x = saved.x.data<X>();
  const auto affine = affine_of<T>(saved);
  const bool packs = in_packs(saved.x, {&saved.x, &grad_y, &saved.residual_y, &masked, &grads.x});
  with_width<X>(packs, [&]<int width>() {
    const Tiles tiles(saved.x, params.training ? params.groups : 1, width);
    Tensor sums = Tensor::empty({tiles.parts(), 2, tiles.channels}, {DType::float64, saved.x.device()});
    launch("batch_norm_act", by_y ? reduce<true, width, X> : reduce<false, width, X>, tiles.launch(), tiles,
           grad_y.data<X>(), x, by_y ? saved.residual_y.data<X>() : nullptr, affine, relu,
           by_y ? masked.data<X>() : nullptr, sums.data<double>());
    Tensor slopes;  // mean_g and slope
    Reduced<T> reduced{grads.weight.defined() ? grads.weight.data<T>() : nullptr,
                       grads.bias.defined() ? grads.bias.data<T>() : nullptr, nullptr, nullptr};
    if (grads.x.defined() && params.training) {
      slopes = Tensor::empty({2, tiles.groups, tiles.channels}, saved.invstd.options());
      reduced.mean_g = slopes.data<T>();
      reduced.slope = reduced.mean_g + tiles.groups * tiles.channels;
    }
    launch("batch_norm_act", finish_reduce<T>, tiles.finish(), tiles, sums.data<double>(), affine.invstd,
           reduced);
    if (grads.x.defined())
      launch("batch_norm_act", apply_backward<width, X>, tiles.launch(), tiles,
             by_y ? masked.data<X>() : grad_y.data<X>(), x, affine, reduced.mean_g, reduced.slope, relu,
             grads.x.data<X>());
  });
}

}  // namespace

BatchNormGrads batch_norm_act_backward(Tensor grad_y, BatchNormSaved saved, const BatchNormParams& params,
                                       const BatchNormNeeds& needs) {
  check_batch_norm_like_x("grad_y", grad_y, saved.x);
  return dispatch_activation(grad_y.dtype(), "batch_norm_act", [&]<class X>() {
    const auto parameter = [&](const Tensor& like) {
      return grad_y.numel() > 0 ? empty_like(like) : zeros_like(like);
    };
    BatchNormGrads grads;
    if (needs.x) grads.x = saved.x.is_unique() ? saved.x : empty_like(saved.x);
    if (needs.weight) grads.weight = parameter(saved.weight);
    if (needs.bias) grads.bias = parameter(saved.bias);
    // Behind a ReLU with a residual, g is written once and is the residual's gradient.
    const bool mask_by_y = params.relu && saved.residual_y.defined();
    Tensor masked;
    if (mask_by_y) masked = grad_y.is_unique() ? grad_y : empty_like(grad_y);
    if (grad_y.numel() > 0) {
      count_work({0, 2 * bytes_of({&grad_y, &saved.x}) + bytes_of({&grads.x, &saved.residual_y, &masked})});
      run_backward<X>(grad_y, saved, params, masked, grads);
    }
    if (needs.residual) grads.residual = mask_by_y ? masked : grad_y;
    return grads;
  });
}

}  // namespace dcl::tensor::cuda
