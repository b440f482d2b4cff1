#include "tensor/ops/batch_norm_act.h"

namespace dcl::tensor {

namespace {

void check_channels(const char* argument, const Tensor& tensor, const Tensor& x) {
  check_dtype("batch_norm_act", argument, tensor, parameter_dtype(x.dtype()));
  check_shape("batch_norm_act", argument, tensor, {x.size(-1)});
}

}  // namespace

void check_batch_norm_like_x(const char* argument, const Tensor& tensor, const Tensor& x) {
  check_dtype("batch_norm_act", argument, tensor, x.dtype());
  check_shape("batch_norm_act", argument, tensor, x.shape());
}

void check_batch_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, const RunningStats& stats,
                      const BatchNormParams& params, const Tensor& residual) {
  check(x.defined(), "batch_norm_act: x is undefined");
  check(x.dim() >= 1, "batch_norm_act: x is [], expected at least one dimension");
  check_channels("weight", weight, x);
  check_channels("bias", bias, x);
  check(stats.mean.defined() == stats.var.defined(),
        "batch_norm_act: one of the running statistics is undefined, expected both or none");
  if (stats.mean.defined()) {
    check_channels("running_mean", stats.mean, x);
    check_channels("running_var", stats.var, x);
  }
  if (residual.defined()) check_batch_norm_like_x("residual", residual, x);
  if (!params.training) {
    check(stats.mean.defined(), "batch_norm_act: evaluation needs running statistics, there are none");
    return;
  }
  const std::int64_t batch = x.size(0);
  check(params.groups >= 1 && batch % params.groups == 0,
        "batch_norm_act: {} groups do not divide a batch of {} (x {})", params.groups, batch,
        x.shape().str());
  if (x.size(-1) == 0) return;
  const std::int64_t values = x.dim() == 1 ? 1 : x.numel() / x.size(-1) / params.groups;
  check(values != 1 && x.dim() > 1,
        "batch_norm_act: one value a channel in training (x {}, groups {}), expected at least two",
        x.shape().str(), params.groups);
  check(values > 1, "batch_norm_act: no value in training (x {}), expected at least two a channel",
        x.shape().str());
}

}  // namespace dcl::tensor
