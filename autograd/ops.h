// The differentiable operations: one line an op. Formulas, shapes and errors are documented in the header of
// the same name under tensor/ops/.
#pragma once

#include <cstdint>
#include <vector>

#include "autograd/variable.h"
#include "tensor/ops/batch_norm_act.h"
#include "tensor/ops/conv2d.h"
#include "tensor/ops/info_nce.h"
#include "tensor/ops/matmul.h"
#include "tensor/ops/max_pool2d.h"
#include "tensor/ops/upsample_bilinear2d.h"

namespace dcl::autograd {

// elementwise, with broadcasting
Variable add(const Variable& a, const Variable& b);
Variable sub(const Variable& a, const Variable& b);
Variable mul(const Variable& a, const Variable& b);
Variable div(const Variable& a, const Variable& b);
Variable neg(const Variable& x);
Variable exp(const Variable& x);
Variable log(const Variable& x);
Variable sqrt(const Variable& x);
Variable tanh(const Variable& x);
Variable sigmoid(const Variable& x);
Variable relu(const Variable& x);

// reductions; `dims` empty means all, negative counts from the end
Variable sum(const Variable& x, const std::vector<int>& dims = {}, bool keep_dims = false);
Variable mean(const Variable& x, const std::vector<int>& dims = {}, bool keep_dims = false);

Variable cast(const Variable& x, tensor::DType dtype);

// shapes
Variable reshape(const Variable& x, std::vector<std::int64_t> sizes);
Variable concat(const std::vector<Variable>& parts);  // along the first dimension
Variable slice_rows(const Variable& x, std::int64_t begin, std::int64_t end);
Variable gather_rows(const Variable& x, const Tensor& index);

// products
Variable matmul(const Variable& a, const Variable& b, const tensor::MatmulParams& params = {});
Variable linear(const Variable& x, const Variable& weight, const Variable& bias = {});
/// `moments`, where given, become those of the result, or undefined where its path does not sum them, as on a
/// GPU (tensor/ops/conv2d.h).
Variable conv2d(const Variable& x, const Variable& weight, const Variable& bias = {},
                const tensor::Conv2dParams& params = {}, tensor::ChannelMoments* moments = nullptr);

// pictures, [N,H,W,C]
Variable max_pool2d(const Variable& x, const tensor::MaxPool2dParams& params);
Variable adaptive_avg_pool2d(const Variable& x, std::int64_t out_h, std::int64_t out_w);
Variable upsample_bilinear2d(const Variable& x, const tensor::UpsampleParams& params);

// normalisation; `stats` is updated in training mode, `residual` may be undefined, and so may the `moments`
// of x, which are conv2d's
Variable batch_norm_act(const Variable& x, const Variable& weight, const Variable& bias,
                        tensor::RunningStats& stats, const tensor::BatchNormParams& params,
                        const Variable& residual = {}, const tensor::ChannelMoments& moments = {});
Variable normalize(const Variable& x, double eps = 1e-12);  // L2, over the last dimension

// losses
Variable softmax(const Variable& x);      // over the last dimension
Variable log_softmax(const Variable& x);  // over the last dimension
Variable cross_entropy(const Variable& logits, const Tensor& targets);

/// The mean loss [1], and how often the positive was the largest logit, [1], from 0 to 1.
struct InfoNce {
  Variable loss;
  Tensor top1;
};
InfoNce info_nce(const Variable& query, const Tensor& positive, const Tensor& queue,
                 const tensor::InfoNceParams& params);

}  // namespace dcl::autograd
