// Batch normalisation with the residual sum and the ReLU that follow it in a ResNet, in one pass:
//
//   y = act((x − mean)·invstd·weight + bias + residual)         invstd = 1 / sqrt(var + eps)
//
// over all but the last dimension: x [N,H,W,C] or [M,C] or of any other rank from 1 on, weight, bias [C],
// residual of x's shape or undefined, act = ReLU when params.relu. float32 or float64, one type a call,
// or bfloat16 x, residual and y with the rest in float32; statistics are summed in double, but for those of
// up to a few dozen rows at a time. (Ioffe and Szegedy, ICML 2015.)
//
// Training: the batch is `groups` consecutive chunks of the first dimension, each normalised with its own
// mean and biased variance, as on that many devices. The running statistics follow the first chunk, as the
// first device's do, with the unbiased variance:
//
//   running = (1 − momentum)·running + momentum·statistic
//
// Evaluation: mean and var are the running ones; groups do not matter.
//
// Throws when shapes or types do not fit together, when groups does not divide the first dimension, in
// training when a channel of a chunk has fewer than two values, in evaluation without running statistics.
#pragma once

#include <cstdint>

#include "tensor/ops/channel_moments.h"
#include "tensor/tensor.h"

namespace dcl::tensor {

/// [C] each, of weight's type; both undefined where training is not tracked.
struct RunningStats {
  Tensor mean;
  Tensor var;
};

struct BatchNormParams {
  bool training = true;
  double momentum = 0.1;
  double eps = 1e-5;
  bool relu = false;
  std::int64_t groups = 1;
};

struct BatchNormResult {
  Tensor y;       // of x's shape
  Tensor mean;    // [groups,C]; [1,C] in evaluation
  Tensor invstd;  // likewise
};

/// What forward has used and made. `residual_y` is y where both a residual and a ReLU were there, else
/// undefined: without a residual the sign before the ReLU follows from x, and y need not be read.
struct BatchNormSaved {
  Tensor x;
  Tensor weight;
  Tensor bias;
  Tensor mean;
  Tensor invstd;
  Tensor residual_y;
};

/// Which gradients backward has to give; the others come back undefined.
struct BatchNormNeeds {
  bool x = true;
  bool weight = true;
  bool bias = true;
  bool residual = true;
};

struct BatchNormGrads {
  Tensor x;
  Tensor weight;    // [C]
  Tensor bias;      // [C]
  Tensor residual;  // without ReLU this is grad_y itself
};

/// What forward checks, on both devices.
void check_batch_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, const RunningStats& stats,
                      const BatchNormParams& params, const Tensor& residual);
/// Throws unless `tensor` has x's type and shape.
void check_batch_norm_like_x(const char* argument, const Tensor& tensor, const Tensor& x);

namespace cpu {
/// `moments`, where defined, are x's as whoever made x summed them (conv2d.h), and are not summed again; for
/// training in one group.
BatchNormResult batch_norm_act(const Tensor& x, const Tensor& weight, const Tensor& bias, RunningStats& stats,
                               const BatchNormParams& params, const Tensor& residual = {},
                               const ChannelMoments& moments = {});
/// y without a residual once more, bit for bit. In saved.x's memory where nobody else holds it.
Tensor batch_norm_act_again(BatchNormSaved saved, const BatchNormParams& params);
/// Works in place where it is given what nobody else holds (Tensor::is_unique; std::move() it): the gradient
/// of x takes saved.x's memory, that of the residual grad_y's.
BatchNormGrads batch_norm_act_backward(Tensor grad_y, BatchNormSaved saved, const BatchNormParams& params,
                                       const BatchNormNeeds& needs = {});
}  // namespace cpu

namespace cuda {
/// Throws where `moments` are defined: x is read for its statistics here (see conv2d.h).
BatchNormResult batch_norm_act(const Tensor& x, const Tensor& weight, const Tensor& bias, RunningStats& stats,
                               const BatchNormParams& params, const Tensor& residual = {},
                               const ChannelMoments& moments = {});
Tensor batch_norm_act_again(BatchNormSaved saved, const BatchNormParams& params);
BatchNormGrads batch_norm_act_backward(Tensor grad_y, BatchNormSaved saved, const BatchNormParams& params,
                                       const BatchNormNeeds& needs = {});
}  // namespace cuda

}  // namespace dcl::tensor
