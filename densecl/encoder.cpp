#include "densecl/encoder.h"

#include <cmath>

#include "autograd/ops.h"
#include "nn/init.h"

namespace dcl::densecl {

namespace {

std::vector<std::unique_ptr<nn::Layer>> layers(std::unique_ptr<nn::Layer> first,
                                               std::unique_ptr<nn::Layer> last) {
  std::vector<std::unique_ptr<nn::Layer>> all;
  all.push_back(std::move(first));
  all.push_back(std::make_unique<nn::Relu>());
  all.push_back(std::move(last));
  return all;
}

std::unique_ptr<nn::Layer> linear(std::int64_t in, std::int64_t out, const EncoderOptions& o) {
  return std::make_unique<nn::Linear>(in, out, o.tensors);
}

std::unique_ptr<nn::Layer> conv1x1(std::int64_t in, std::int64_t out, const EncoderOptions& o) {
  return std::make_unique<nn::Conv2d>(nn::Conv2dOptions{.in_channels = in, .out_channels = out, .bias = true},
                                      o.tensors);
}

}  // namespace

Neck::Neck(std::int64_t channels, const EncoderOptions& o)
    : num_grid_(o.num_grid), mlp_(layers(linear(channels, o.hidden, o), linear(o.hidden, o.dim, o))) {
  check(!num_grid_ || *num_grid_ > 0, "neck: num_grid is {}, expected at least 1", num_grid_.value_or(0));
  add_module("mlp", mlp_);
  if (!o.dense) return;
  mlp2_ =
      std::make_unique<nn::Sequential>(layers(conv1x1(channels, o.hidden, o), conv1x1(o.hidden, o.dim, o)));
  add_module("mlp2", *mlp2_);
}

EncoderOutput Neck::forward(const Variable& map) {
  const std::int64_t channels = map.shape()[-1];
  EncoderOutput out;
  out.global = mlp_.forward(autograd::reshape(autograd::adaptive_avg_pool2d(map, 1, 1), {-1, channels}));
  if (!mlp2_) return out;
  const tensor::ProfilePart part(kDenseHalf);
  const Variable grid = num_grid_ ? autograd::adaptive_avg_pool2d(map, *num_grid_, *num_grid_) : map;
  out.cells = grid.shape()[1] * grid.shape()[2];
  out.features = autograd::reshape(grid, {-1, channels});
  const Variable dense = mlp2_->forward(grid);
  out.dense = autograd::reshape(dense, {-1, dense.shape()[-1]});
  return out;
}

Encoder::Encoder(const EncoderOptions& o)
    : activations_(o.bfloat16 ? tensor::DType::bfloat16 : o.tensors.dtype),
      outputs_(o.tensors.dtype),
      backbone_(o.arch, {.bn_groups = o.bn_groups, .tensors = o.tensors}),
      neck_(backbone_.feature_channels(), o) {
  add_module("0", backbone_);
  add_module("1", neck_);
}

EncoderOutput Encoder::forward(const Variable& pictures) {
  EncoderOutput out = neck_.forward(backbone_.forward(autograd::cast(pictures, activations_)));
  out.global = autograd::cast(out.global, outputs_);
  if (!out.dense.defined()) return out;
  const tensor::ProfilePart part(kDenseHalf);
  out.dense = autograd::cast(out.dense, outputs_);
  out.features = autograd::cast(out.features, outputs_);
  return out;
}

void initialise_encoder(Encoder& encoder, std::uint64_t seed, const std::string& prefix) {
  nn::initialise_resnet(encoder.backbone(), seed, prefix + ".0");
  double bound = 0;  // of the layer whose weight came last; a bias follows its weight
  for (auto& [name, parameter] : encoder.neck().parameters(prefix + ".1")) {
    Tensor& value = parameter.mutable_value();
    const auto key = nn::weight_key(seed, name);
    if (value.dim() > 1) bound = 1.0 / std::sqrt(static_cast<double>(nn::fan_in(value)));
    if (name.find(".mlp2.") != std::string::npos)
      nn::fill_uniform(value, bound, key);  // PyTorch's default for convolutions, weight and bias
    else if (value.dim() == 2)
      nn::kaiming_normal(value, key);
    else
      value.fill(0.0);
    parameter.bump_version();
  }
}

}  // namespace dcl::densecl
