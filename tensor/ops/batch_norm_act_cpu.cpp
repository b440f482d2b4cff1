#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "tensor/cpu/moment_sums.h"
#include "tensor/cpu/prefetch.h"
#include "tensor/cpu/streaming.h"
#include "tensor/cpu/threads.h"
#include "tensor/ops/batch_norm_act.h"
#include "tensor/ops/batch_norm_act_kernels.h"

namespace dcl::tensor::cpu {

namespace {

constexpr std::int64_t kPartElements = 32768;  // a part is worth a thread …
constexpr std::int64_t kPartRows = 64;         // … and much longer than its sums
constexpr std::int64_t kMaxParts = 64;         // of one chunk
constexpr std::int64_t kTileRows = 16;         // whose moments are summed at a time

// The rows of x as chunks (`groups`) of parts. The cuts depend on the sizes only, and so do the bits.
struct Parts {
  std::int64_t groups;
  std::int64_t group_rows;
  std::int64_t channels;
  std::int64_t per_group;

  Parts(const Tensor& x, std::int64_t group_count) : groups(group_count), channels(x.size(-1)) {
    group_rows = channels == 0 ? 0 : x.numel() / channels / groups;
    const std::int64_t rows = std::max(kPartRows, kPartElements / std::max<std::int64_t>(channels, 1));
    per_group = std::clamp<std::int64_t>(group_rows / rows, 1, kMaxParts);
  }

  std::int64_t total() const { return groups * per_group; }
  std::int64_t group(std::int64_t part) const { return part / per_group; }
  std::int64_t begin(std::int64_t part) const {
    return group(part) * group_rows + (part % per_group) * group_rows / per_group;
  }
  std::int64_t rows(std::int64_t part) const {
    const std::int64_t in_group = part % per_group;
    return (in_group + 1) * group_rows / per_group - in_group * group_rows / per_group;
  }
  BatchNormRows size(std::int64_t part) const { return {rows(part), channels}; }
};

template <class F>
void for_each_part(const Parts& parts, F body) {
  parallel_parts(static_cast<int>(parts.total()), [&](int part) { body(static_cast<std::int64_t>(part)); });
}

// running = (1 − momentum)·running + momentum·statistic, for one channel.
template <class T>
void track(RunningStats& stats, double momentum, std::int64_t c, double mean, double unbiased_var) {
  const auto move = [&](T& running, double statistic) {
    running = static_cast<T>((1 - momentum) * static_cast<double>(running) + momentum * statistic);
  };
  move(stats.mean.data<T>()[c], mean);
  move(stats.var.data<T>()[c], unbiased_var);
}

// Of each chunk of x.
template <class X>
std::vector<ChannelMoments> moments_of(const Parts& parts, const X* x) {
  MomentSums<Compute<X>> all(parts.channels);
  all.set_parts(parts.total());
  for_each_part(parts, [&](std::int64_t part) {
    const X* const first = x + parts.begin(part) * parts.channels;
    std::array<const X*, kTileRows> rows;
    for (std::int64_t r = 0; r < parts.rows(part); r += kTileRows) {
      const std::int64_t count = std::min(kTileRows, parts.rows(part) - r);
      for (std::int64_t i = 0; i < count; ++i)
        rows[static_cast<std::size_t>(i)] = first + (r + i) * parts.channels;
      prefetch_to_l2(rows[0] + kTileRows * parts.channels, kTileRows * parts.channels);
      all.add(part, r / kTileRows, 0, TileRows<X>{rows.data(), count, parts.channels});
    }
  });
  std::vector<ChannelMoments> of_groups;
  for (std::int64_t group = 0; group < parts.groups; ++group)
    of_groups.push_back(all.of(group * parts.per_group, (group + 1) * parts.per_group));
  return of_groups;
}

// mean and invstd [G,C] of the batch; moves the running statistics.
template <class T>
void batch_statistics(const std::vector<ChannelMoments>& of_groups, const BatchNormParams& params,
                      RunningStats& stats, BatchNormResult& out) {
  T* mean = out.mean.data<T>();
  T* invstd = out.invstd.data<T>();
  for (const auto& moments : of_groups) {
    const std::int64_t channels = moments.mean.numel();
    const auto rows = static_cast<double>(moments.rows);
    for (std::int64_t c = 0; c < channels; ++c) {
      const double squares = moments.squares.data<double>()[c];
      *mean++ = static_cast<T>(moments.mean.data<double>()[c]);
      *invstd++ = static_cast<T>(1 / std::sqrt(squares / rows + params.eps));
      if (&moments == of_groups.data() && stats.mean.defined())
        track<T>(stats, params.momentum, c, moments.mean.data<double>()[c], squares / (rows - 1));
    }
  }
}

template <class T>
void running_statistics(const RunningStats& stats, double eps, Tensor& mean, Tensor& invstd) {
  for (std::int64_t c = 0; c < mean.numel(); ++c) {
    mean.data<T>()[c] = stats.mean.data<T>()[c];
    invstd.data<T>()[c] = static_cast<T>(1 / std::sqrt(static_cast<double>(stats.var.data<T>()[c]) + eps));
  }
}

// weight·invstd, [G,C].
template <class T>
std::vector<T> scale_of(const Tensor& weight, const Tensor& invstd) {
  const std::int64_t channels = weight.numel();
  std::vector<T> scale(static_cast<std::size_t>(invstd.numel()));
  for (std::int64_t i = 0; i < invstd.numel(); ++i)
    scale[static_cast<std::size_t>(i)] = weight.data<T>()[i % channels] * invstd.data<T>()[i];
  return scale;
}

template <class T>
BatchNormAffine<T> affine_of(const Tensor& mean, const std::vector<T>& scale, const Tensor& bias,
                             std::int64_t group) {
  const std::int64_t at = group * bias.numel();
  return {mean.data<T>() + at, scale.data() + at, bias.data<T>()};
}

// y = act((x − mean)·scale + bias + residual).
template <class X, class T = Compute<X>>
void apply(const Parts& parts, const BatchNormSaved& saved, const Tensor& residual, bool relu, Tensor& y) {
  const auto scale = scale_of<T>(saved.weight, saved.invstd);
  const X* x_data = saved.x.data<X>();
  const X* residual_data = residual.defined() ? residual.data<X>() : nullptr;
  X* y_data = y.data<X>();
  const BatchNormEnd end{.relu = relu, .stream = y_data != x_data && pays_to_stream(bytes_of({&y}))};
  for_each_part(parts, [&](std::int64_t part) {
    const std::int64_t at = parts.begin(part) * parts.channels;
    batch_norm_kernels<X>().apply(parts.size(part), x_data + at, residual_data ? residual_data + at : nullptr,
                                  affine_of<T>(saved.mean, scale, saved.bias, parts.group(part)), end,
                                  y_data + at);
  });
}

void check_moments(const Tensor& x, const BatchNormParams& params, const ChannelMoments& moments) {
  check(params.training && params.groups == 1,
        "batch_norm_act: moments of all rows, expected none in evaluation or with {} groups", params.groups);
  for (const Tensor* tensor : {&moments.mean, &moments.squares}) {
    check_dtype("batch_norm_act", "moments", *tensor, DType::float64);
    check_shape("batch_norm_act", "moments", *tensor, {x.size(-1)});
  }
  check(moments.rows * x.size(-1) == x.numel(), "batch_norm_act: moments of {} rows, x is {}", moments.rows,
        x.shape().str());
}

}  // namespace

BatchNormResult batch_norm_act(const Tensor& x, const Tensor& weight, const Tensor& bias, RunningStats& stats,
                               const BatchNormParams& params, const Tensor& residual,
                               const ChannelMoments& moments) {
  check_batch_norm(x, weight, bias, stats, params, residual);
  if (moments.defined()) check_moments(x, params, moments);
  return dispatch_activation(x.dtype(), "batch_norm_act", [&]<class X>() {
    const Parts parts(x, params.training ? params.groups : 1);
    BatchNormResult out{empty_like(x), Tensor::empty({parts.groups, parts.channels}, weight.options()),
                        Tensor::empty({parts.groups, parts.channels}, weight.options())};
    // In training x is read for its statistics, and again to be normalised.
    const bool reads_twice = params.training && !moments.defined();
    if (params.training && x.numel() > 0) {
      batch_statistics<Compute<X>>(reads_twice ? moments_of(parts, x.data<X>()) : std::vector{moments},
                                   params, stats, out);
    } else if (!params.training) {
      running_statistics<Compute<X>>(stats, params.eps, out.mean, out.invstd);
    }
    if (x.numel() == 0) return out;
    count_work({0, (reads_twice ? 2 : 1) * bytes_of({&x}) + bytes_of({&residual, &out.y})});
    apply<X>(parts, {x, weight, bias, out.mean, out.invstd, {}}, residual, params.relu, out.y);
    return out;
  });
}

Tensor batch_norm_act_again(BatchNormSaved saved, const BatchNormParams& params) {
  return dispatch_activation(saved.x.dtype(), "batch_norm_act", [&]<class X>() {
    const Parts parts(saved.x, params.training ? params.groups : 1);
    Tensor y = saved.x.is_unique() ? saved.x : empty_like(saved.x);
    count_work({0, bytes_of({&saved.x, &y})});
    if (y.numel() > 0) apply<X>(parts, saved, {}, params.relu, y);
    return y;
  });
}

namespace {

// Σ g and Σ g·(x − mean) of each chunk, [G,C] each, and g itself where a residual wants it.
struct Reduced {
  std::vector<double> sum_g;
  std::vector<double> sum_gx;
};

template <class X, class T = Compute<X>>
Reduced reduce_parts(const Parts& parts, const Tensor& grad_y, const BatchNormSaved& saved,
                     const std::vector<T>& scale, bool relu, Tensor& masked) {
  Tensor sums = Tensor::empty({parts.total(), 2, parts.channels}, {DType::float64, {}});
  double* sums_data = sums.data<double>();
  const X* grad_y_data = grad_y.data<X>();
  const X* x_data = saved.x.data<X>();
  const X* y_data = masked.defined() ? std::as_const(saved.residual_y).data<X>() : nullptr;
  X* masked_data = masked.defined() ? masked.data<X>() : nullptr;
  for_each_part(parts, [&](std::int64_t part) {
    const std::int64_t at = parts.begin(part) * parts.channels;
    double* sum = sums_data + 2 * part * parts.channels;
    batch_norm_kernels<X>().reduce(parts.size(part), grad_y_data + at, x_data + at,
                                   y_data ? y_data + at : nullptr,
                                   affine_of<T>(saved.mean, scale, saved.bias, parts.group(part)), relu,
                                   masked_data ? masked_data + at : nullptr, sum, sum + parts.channels);
  });
  const auto size = static_cast<std::size_t>(parts.groups * parts.channels);
  Reduced out{std::vector<double>(size), std::vector<double>(size)};
  for (std::int64_t part = 0; part < parts.total(); ++part) {
    const double* sum = sums_data + 2 * part * parts.channels;
    double* sum_g = out.sum_g.data() + parts.group(part) * parts.channels;
    double* sum_gx = out.sum_gx.data() + parts.group(part) * parts.channels;
    for (std::int64_t c = 0; c < parts.channels; ++c) {
      sum_g[c] += sum[c];
      sum_gx[c] += sum[parts.channels + c];
    }
  }
  return out;
}

// dbias = Σ g, dweight = Σ g·(x − mean)·invstd, over all chunks.
template <class T>
void parameter_gradients(const Parts& parts, const Reduced& reduced, const Tensor& invstd,
                         BatchNormGrads& grads) {
  for (std::int64_t c = 0; c < parts.channels; ++c) {
    double weight = 0;
    double bias = 0;
    for (std::int64_t i = c; i < parts.groups * parts.channels; i += parts.channels) {
      weight += reduced.sum_gx[static_cast<std::size_t>(i)] * static_cast<double>(invstd.data<T>()[i]);
      bias += reduced.sum_g[static_cast<std::size_t>(i)];
    }
    if (grads.weight.defined()) grads.weight.data<T>()[c] = static_cast<T>(weight);
    if (grads.bias.defined()) grads.bias.data<T>()[c] = static_cast<T>(bias);
  }
}

// dx = weight·invstd·(g − mean(g) − (x − mean)·invstd²·mean(g·(x − mean))); in evaluation the statistics do
// not depend on x, and the last two terms are not there.
template <class X, class T = Compute<X>>
void input_gradient(const Parts& parts, const Tensor& g, const BatchNormSaved& saved,
                    const std::vector<T>& scale, const Reduced& reduced, const BatchNormParams& params,
                    bool relu, Tensor& grad_x) {
  std::vector<T> mean_g(params.training ? reduced.sum_g.size() : 0);
  std::vector<T> slope(mean_g.size());
  const double n = static_cast<double>(parts.group_rows);
  for (std::size_t i = 0; i < mean_g.size(); ++i) {
    const double invstd = static_cast<double>(saved.invstd.data<T>()[i]);
    mean_g[i] = static_cast<T>(reduced.sum_g[i] / n);
    slope[i] = static_cast<T>(reduced.sum_gx[i] / n * invstd * invstd);
  }
  const X* g_data = g.data<X>();
  const X* x_data = saved.x.data<X>();
  X* grad_x_data = grad_x.data<X>();
  const BatchNormEnd end{.relu = relu,
                         .stream = grad_x_data != x_data && pays_to_stream(bytes_of({&grad_x}))};
  for_each_part(parts, [&](std::int64_t part) {
    const std::int64_t at = parts.begin(part) * parts.channels;
    const std::int64_t channel = parts.group(part) * parts.channels;
    BatchNormSlopes<T> slopes;
    if (params.training) slopes = {mean_g.data() + channel, slope.data() + channel};
    batch_norm_kernels<X>().apply_backward(parts.size(part), g_data + at, x_data + at,
                                           affine_of<T>(saved.mean, scale, saved.bias, parts.group(part)),
                                           slopes, end, grad_x_data + at);
  });
}

}  // namespace

BatchNormGrads batch_norm_act_backward(Tensor grad_y, BatchNormSaved saved, const BatchNormParams& params,
                                       const BatchNormNeeds& needs) {
  check_batch_norm_like_x("grad_y", grad_y, saved.x);
  return dispatch_activation(grad_y.dtype(), "batch_norm_act", [&]<class X>() {
    const Parts parts(saved.x, params.training ? params.groups : 1);
    BatchNormGrads grads;
    if (needs.x) grads.x = saved.x.is_unique() ? saved.x : empty_like(saved.x);
    if (needs.weight) grads.weight = zeros_like(saved.weight);
    if (needs.bias) grads.bias = zeros_like(saved.bias);
    // Behind a ReLU with a residual, g is written once and is the residual's gradient.
    const bool mask_by_y = params.relu && saved.residual_y.defined();
    const bool mask_by_x = params.relu && !mask_by_y;
    Tensor masked;
    if (mask_by_y) masked = grad_y.is_unique() ? grad_y : empty_like(grad_y);
    if (grad_y.numel() > 0) {
      count_work({0, 2 * bytes_of({&grad_y, &saved.x}) + bytes_of({&grads.x, &saved.residual_y, &masked})});
      using T = Compute<X>;
      const auto scale = scale_of<T>(saved.weight, saved.invstd);
      const auto reduced = reduce_parts<X>(parts, grad_y, saved, scale, mask_by_x, masked);
      parameter_gradients<T>(parts, reduced, saved.invstd, grads);
      if (needs.x)
        input_gradient<X>(parts, mask_by_y ? masked : grad_y, saved, scale, reduced, params, mask_by_x,
                          grads.x);
    }
    if (needs.residual) grads.residual = mask_by_y ? masked : grad_y;
    return grads;
  });
}

}  // namespace dcl::tensor::cpu
