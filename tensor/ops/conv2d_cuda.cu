// On cuDNN; by columns where it has no plan, and in the emulation.
#include "tensor/cuda/conv2d_cudnn.h"
#include "tensor/ops/cast.h"
#include "tensor/ops/conv2d_columns_cuda.cuh"
#include "tensor/ops/elementwise.h"

namespace dcl::tensor::cuda {

namespace {

// cuDNN's kernels for bfloat16 want channels in units; the three of a photograph would be filled up there, in
// each pass anew.
std::int64_t padded_channels(const Conv2dSizes& z, DType type) {
  if (type != DType::bfloat16 || z.params.groups != 1) return z.in_channels;
  return (z.in_channels + kChannelUnit - 1) / kChannelUnit * kChannelUnit;
}

Conv2dSizes with_channels(Conv2dSizes z, std::int64_t channels) {
  z.in_channels = channels;
  return z;
}

Shape with_last(const Shape& shape, std::int64_t size) { return {shape[0], shape[1], shape[2], size}; }

// bfloat16 [..,C] with zeros up to `channels`; itself where it has as many.
Tensor padded(const Tensor& x, std::int64_t channels) {
  if (x.size(-1) == channels) return x;
  Tensor y = Tensor::empty(with_last(x.shape(), channels), x.options());
  launch("conv2d", pad_channels<bfloat16>, launch_for(y.numel() / kChannelUnit), y.numel() / channels,
         x.size(-1), channels, x.data<bfloat16>(), y.data<bfloat16>());
  return y;
}

// The way back, of any type.
Tensor cut(const Tensor& x, std::int64_t channels) {
  if (x.size(-1) == channels) return x;
  Tensor y = Tensor::empty(with_last(x.shape(), channels), x.options());
  dispatch_activation(x.dtype(), "conv2d", [&]<class T>() {
    launch("conv2d", cut_channels<T>, launch_for(y.numel()), y.numel() / channels, channels, x.size(-1),
           x.data<T>(), y.data<T>());
  });
  return y;
}

// In the type of the products: rounded beside bfloat16.
Tensor operand(const Tensor& weight, DType type, std::int64_t channels) {
  return padded(type == DType::bfloat16 ? cast(weight, type) : weight, channels);
}

void add_bias_to(Tensor& y, const Tensor& bias) {
  if (!bias.defined()) return;
  dispatch_activation(y.dtype(), "conv2d", [&]<class T>() {
    constexpr int width = 16 / sizeof(T);
    const std::int64_t channels = bias.numel();
    const auto* const from = bias.data<Compute<T>>();
    if (channels % width == 0)
      launch("conv2d", add_bias<width, T>, launch_for(y.numel() / width), y.numel() / width, channels, from,
             y.data<T>());
    else
      launch("conv2d", add_bias<1, T>, launch_for(y.numel()), y.numel(), channels, from, y.data<T>());
  });
}

void count(const Conv2dSizes& z, std::initializer_list<const Tensor*> operands) {
  if (profiling()) count_work({z.flop(), bytes_of(operands)}, z.str());
}

}  // namespace

Tensor conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias, const Conv2dParams& params,
              ChannelMoments* moments) {
  if (moments != nullptr) *moments = {};  // batch_norm_act's kernels sum them
  const Conv2dSizes z = check_conv2d(x, weight, bias, params);
  Tensor y = Tensor::empty(z.out_shape(), x.options());
  count(z, {&x, &weight, &y});
  if (y.numel() == 0) return y;
  dispatch_activation(x.dtype(), "conv2d", [&]<class T>() {
    const std::int64_t channels = padded_channels(z, x.dtype());
    const Conv2dSizes size = with_channels(z, channels);
    const Tensor pictures = padded(x, channels);
    const Tensor kernels = operand(weight, x.dtype(), size.group_in());
    const auto on_cudnn = [&](const Tensor& added) {
      return x.numel() > 0 && conv2d_cudnn(ConvolutionPass::forward, size, {pictures, kernels, y, added});
    };
    if (on_cudnn(bias)) return;
    if (!bias.defined() || !on_cudnn({})) conv2d_columns<T>(size, pictures, kernels, y);
    add_bias_to(y, bias);
  });
  return y;
}

Tensor conv2d_backward_input(const Tensor& dy, const Tensor& weight, const Shape& x_shape,
                             const Conv2dParams& params, const Tensor& sum) {
  if (sum.defined()) {
    check_conv2d_backward_input(dy, weight, x_shape, params, sum);
    Tensor dx = conv2d_backward_input(dy, weight, x_shape, params);
    add_inplace(dx, sum);
    return dx;
  }
  const Conv2dSizes z = check_conv2d_backward_input(dy, weight, x_shape, params, {});
  const std::int64_t channels = padded_channels(z, dy.dtype());
  Tensor dx = Tensor::empty(with_last(x_shape, channels), dy.options());
  count(z, {&dy, &weight, &dx});
  if (dx.numel() == 0) return cut(dx, z.in_channels);
  dispatch_activation(dy.dtype(), "conv2d_backward_input", [&]<class T>() {
    const Conv2dSizes size = with_channels(z, channels);
    const Tensor kernels = operand(weight, dy.dtype(), size.group_in());
    if (!conv2d_cudnn(ConvolutionPass::backward_input, size, {dx, kernels, dy}))
      conv2d_backward_input_columns<T>(size, dy, kernels, dx);
  });
  return cut(dx, z.in_channels);
}

// cuDNN sums bfloat16 in float32 and rounds the sum to bfloat16. It can hand out the float32 sum by a fusion
// that is compiled at run time, but has a single kernel for that, which does not split the long sums: a few
// blocks on the whole GPU for the first layers.
Tensor conv2d_backward_weight(const Tensor& dy, const Tensor& x, const Shape& weight_shape,
                              const Conv2dParams& params) {
  const Conv2dSizes z = check_conv2d_backward_weight(dy, x, weight_shape, params);
  const DType type = parameter_dtype(dy.dtype());
  const std::int64_t channels = padded_channels(z, dy.dtype());
  if (dy.numel() == 0 || x.numel() == 0) return Tensor::zeros(weight_shape, {type, dy.device()});
  const Conv2dSizes size = with_channels(z, channels);
  const Shape shape = with_last(weight_shape, size.group_in());
  Tensor dweight = Tensor::empty(shape, dy.options());
  count(z, {&dy, &x, &dweight});
  dispatch_activation(dy.dtype(), "conv2d_backward_weight", [&]<class T>() {
    const Tensor pictures = padded(x, channels);
    if (conv2d_cudnn(ConvolutionPass::backward_weight, size, {pictures, dweight, dy})) {
      dweight = cast(dweight, type);
    } else {
      dweight = Tensor::empty(shape, {type, dy.device()});
      conv2d_backward_weight_columns<T>(size, dy, pictures, dweight);
    }
  });
  return cut(dweight, weight_shape[3]);
}

}  // namespace dcl::tensor::cuda
