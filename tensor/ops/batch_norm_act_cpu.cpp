#include <algorithm>
#include <cmath>
#include <vector>

#include "tensor/cpu/streaming.h"
#include "tensor/cpu/threads.h"
#include "tensor/ops/batch_norm_act.h"
#include "tensor/ops/batch_norm_act_kernels.h"

namespace dcl::tensor::cpu {

namespace {

constexpr std::int64_t kPartElements = 32768;  // a part is worth a thread …
constexpr std::int64_t kPartRows = 64;         // … and much longer than its sums
constexpr std::int64_t kMaxParts = 64;         // of one chunk

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

// The mean of a chunk's values and Σ (x − mean)², of some channels.
struct Moments {
  std::vector<double> mean;
  std::vector<double> squares;
};

// Puts the parts of a chunk together (Chan, Golub, LeVeque 1979) for channels [begin, end): sums[part] is
// [2,C] of shifted sums, and the shift is the part's first row.
template <class X>
Moments combine(const Parts& parts, std::int64_t group, std::int64_t begin, std::int64_t end, const X* x,
                const double* sums) {
  const auto channels = static_cast<std::size_t>(end - begin);
  Moments all{std::vector<double>(channels), std::vector<double>(channels)};
  const std::int64_t first = group * parts.per_group;
  const double share = 1 / static_cast<double>(parts.group_rows);
  for (std::int64_t part = first; part < first + parts.per_group; ++part) {
    const X* shift = x + parts.begin(part) * parts.channels + begin;
    const double* sum = sums + 2 * part * parts.channels + begin;
    const auto rows = static_cast<double>(parts.rows(part));
    for (std::size_t c = 0; c < channels; ++c)
      all.mean[c] += (rows * static_cast<double>(widened(shift[c])) + sum[c]) * share;
  }
  for (std::int64_t part = first; part < first + parts.per_group; ++part) {
    const X* shift = x + parts.begin(part) * parts.channels + begin;
    const double* sum = sums + 2 * part * parts.channels + begin;
    const double* sum_squares = sum + parts.channels;
    const auto rows = static_cast<double>(parts.rows(part));
    const double inverse = 1 / rows;
    for (std::size_t c = 0; c < channels; ++c) {
      const double away = static_cast<double>(widened(shift[c])) + sum[c] * inverse - all.mean[c];
      all.squares[c] += std::max(sum_squares[c] - sum[c] * sum[c] * inverse, 0.0) + rows * away * away;
    }
  }
  return all;
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

// mean and invstd [G,C] of the batch; moves the running statistics.
template <class X, class T = Compute<X>>
void batch_statistics(const Parts& parts, const Tensor& x, const BatchNormParams& params, RunningStats& stats,
                      Tensor& mean, Tensor& invstd) {
  Tensor sums = Tensor::empty({parts.total(), 2, parts.channels}, {DType::float64, {}});
  double* sums_data = sums.data<double>();
  const X* x_data = x.data<X>();
  for_each_part(parts, [&](std::int64_t part) {
    double* sum = sums_data + 2 * part * parts.channels;
    batch_norm_kernels<X>().moments(parts.size(part), x_data + parts.begin(part) * parts.channels, sum,
                                    sum + parts.channels);
  });
  T* mean_data = mean.data<T>();
  T* invstd_data = invstd.data<T>();
  const auto rows = static_cast<double>(parts.group_rows);
  // About eight operations a part and channel.
  parallel_for(parts.channels, kPartElements / 8 / parts.total() + 1,
               [&](std::int64_t begin, std::int64_t end) {
                 for (std::int64_t group = 0; group < parts.groups; ++group) {
                   const Moments moments = combine(parts, group, begin, end, x_data, sums_data);
                   for (std::int64_t c = begin; c < end; ++c) {
                     const double channel_mean = moments.mean[static_cast<std::size_t>(c - begin)];
                     const double squares = moments.squares[static_cast<std::size_t>(c - begin)];
                     mean_data[group * parts.channels + c] = static_cast<T>(channel_mean);
                     invstd_data[group * parts.channels + c] =
                         static_cast<T>(1 / std::sqrt(squares / rows + params.eps));
                     if (group == 0 && stats.mean.defined())
                       track<T>(stats, params.momentum, c, channel_mean, squares / (rows - 1));
                   }
                 }
               });
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

}  // namespace

BatchNormResult batch_norm_act(const Tensor& x, const Tensor& weight, const Tensor& bias, RunningStats& stats,
                               const BatchNormParams& params, const Tensor& residual) {
  check_batch_norm(x, weight, bias, stats, params, residual);
  return dispatch_activation(x.dtype(), "batch_norm_act", [&]<class X>() {
    const Parts parts(x, params.training ? params.groups : 1);
    BatchNormResult out{empty_like(x), Tensor::empty({parts.groups, parts.channels}, weight.options()),
                        Tensor::empty({parts.groups, parts.channels}, weight.options())};
    if (params.training && x.numel() > 0) {
      batch_statistics<X>(parts, x, params, stats, out.mean, out.invstd);
    } else if (!params.training) {
      running_statistics<Compute<X>>(stats, params.eps, out.mean, out.invstd);
    }
    if (x.numel() == 0) return out;
    // In training x is read for its statistics, and again to be normalised.
    count_work({0, (params.training ? 2 : 1) * bytes_of({&x}) + bytes_of({&residual, &out.y})});
    apply<X>(parts, {x, weight, bias, out.mean, out.invstd, {}}, residual, params.relu, out.y);
    return out;
  });
}

Tensor batch_norm_act_again(BatchNormSaved saved, const BatchNormParams& params, const Tensor& residual) {
  if (residual.defined()) check_batch_norm_like_x("residual", residual, saved.x);
  return dispatch_activation(saved.x.dtype(), "batch_norm_act", [&]<class X>() {
    const Parts parts(saved.x, params.training ? params.groups : 1);
    Tensor y = saved.x.is_unique() ? saved.x : empty_like(saved.x);
    count_work({0, bytes_of({&saved.x, &residual, &y})});
    if (y.numel() > 0) apply<X>(parts, saved, residual, params.relu, y);
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
  for_each_part(parts, [&](std::int64_t part) {
    const std::int64_t at = parts.begin(part) * parts.channels;
    const std::int64_t channel = parts.group(part) * parts.channels;
    BatchNormSlopes<T> slopes;
    if (params.training) slopes = {mean_g.data() + channel, slope.data() + channel};
    batch_norm_kernels<X>().apply_backward(parts.size(part), g_data + at, x_data + at,
                                           affine_of<T>(saved.mean, scale, saved.bias, parts.group(part)),
                                           slopes, relu, grad_x_data + at);
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
