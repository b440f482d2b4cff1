#include "tensor/ops/conv2d.h"

namespace dcl::tensor {

double Conv2dSizes::flop() const {
  return 2 * static_cast<double>(out_rows() * out_channels) *
         static_cast<double>(kernel_h * kernel_w * group_in());
}

std::string Conv2dSizes::str() const {
  return fmt::format("{}x{} s{} {}x{}x{} -> {}{}", kernel_h, kernel_w, params.stride, in_h, in_w, in_channels,
                     out_channels, params.groups > 1 ? fmt::format(" g{}", params.groups) : "");
}

Conv2dSizes conv2d_sizes(const Shape& x, const Shape& weight, const Conv2dParams& params) {
  const auto [stride, padding, dilation, groups] = params;
  check(x.dim() == 4, "conv2d: x has {} dimensions, expected 4, [N,H,W,I] (x {}, weight {})", x.dim(),
        x.str(), weight.str());
  check(weight.dim() == 4,
        "conv2d: weight has {} dimensions, expected 4, [O,kH,kW,I/groups] (x {}, weight {})", weight.dim(),
        x.str(), weight.str());
  check(stride >= 1 && dilation >= 1 && groups >= 1,
        "conv2d: stride {}, dilation {} and groups {} must be at least 1 (x {}, weight {})", stride, dilation,
        groups, x.str(), weight.str());
  check(padding >= 0, "conv2d: padding {} is negative (x {}, weight {})", padding, x.str(), weight.str());
  check(x[3] % groups == 0 && weight[0] % groups == 0,
        "conv2d: {} groups do not divide {} input and {} output channels (x {}, weight {})", groups, x[3],
        weight[0], x.str(), weight.str());
  check(weight[3] * groups == x[3], "conv2d: weight has {} input channels{}, x has {} (x {}, weight {})",
        weight[3], groups == 1 ? "" : fmt::format(" in each of {} groups", groups), x[3], x.str(),
        weight.str());
  check(weight[1] >= 1 && weight[2] >= 1 && x[3] >= 1 && weight[0] >= 1,
        "conv2d: kernel sizes and channels must be at least 1 (x {}, weight {})", x.str(), weight.str());
  const auto room = [&](std::int64_t in, std::int64_t kernel) {
    return in + 2 * padding - dilation * (kernel - 1) - 1;
  };
  check(room(x[1], weight[1]) >= 0 && room(x[2], weight[2]) >= 0,
        "conv2d: a {}x{} kernel with dilation {} does not fit into a {}x{} picture with padding {} (x {}, "
        "weight {})",
        weight[1], weight[2], dilation, x[1], x[2], padding, x.str(), weight.str());
  return {.batch = x[0],
          .in_h = x[1],
          .in_w = x[2],
          .in_channels = x[3],
          .out_channels = weight[0],
          .kernel_h = weight[1],
          .kernel_w = weight[2],
          .out_h = room(x[1], weight[1]) / stride + 1,
          .out_w = room(x[2], weight[2]) / stride + 1,
          .params = params};
}

Conv2dSizes check_conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias,
                         const Conv2dParams& params) {
  const Conv2dSizes z = conv2d_sizes(x.shape(), weight.shape(), params);
  check_dtype("conv2d", "weight", weight, parameter_dtype(x.dtype()));
  check_same_device("conv2d", "weight", weight, x);
  check_same_device("conv2d", "bias", bias, x);
  if (bias.defined()) {
    check_dtype("conv2d", "bias", bias, weight.dtype());
    check_shape("conv2d", "bias", bias, {z.out_channels});
  }
  return z;
}

Conv2dSizes check_conv2d_backward_input(const Tensor& dy, const Tensor& weight, const Shape& x_shape,
                                        const Conv2dParams& params, const Tensor& sum) {
  const Conv2dSizes z = conv2d_sizes(x_shape, weight.shape(), params);
  check_shape("conv2d_backward_input", "dy", dy, z.out_shape());
  check_dtype("conv2d_backward_input", "weight", weight, parameter_dtype(dy.dtype()));
  check_same_device("conv2d_backward_input", "weight", weight, dy);
  if (sum.defined()) {
    check_shape("conv2d_backward_input", "sum", sum, x_shape);
    check_dtype("conv2d_backward_input", "sum", sum, dy.dtype());
    check_same_device("conv2d_backward_input", "sum", sum, dy);
  }
  return z;
}

Conv2dSizes check_conv2d_backward_weight(const Tensor& dy, const Tensor& x, const Shape& weight_shape,
                                         const Conv2dParams& params) {
  const Conv2dSizes z = conv2d_sizes(x.shape(), weight_shape, params);
  check_shape("conv2d_backward_weight", "dy", dy, z.out_shape());
  check_dtype("conv2d_backward_weight", "x", x, dy.dtype());
  check_same_device("conv2d_backward_weight", "x", x, dy);
  return z;
}

}  // namespace dcl::tensor
