#include "tensor/ops/max_pool2d.h"

#include "tensor/ops/max_pool2d_windows.h"

namespace dcl::tensor {

MaxPool2dSizes max_pool2d_sizes(const Shape& x_shape, const MaxPool2dParams& params) {
  const auto [kernel, stride, padding] = params;
  const Shape& x = x_shape;
  check(x.dim() == 4, "max_pool2d: x is {}, expected [N,H,W,C]", x.str());
  check(kernel >= 1 && kernel <= 15, "max_pool2d: kernel is {}, expected 1 to 15", kernel);
  check(stride >= 1, "max_pool2d: stride is {}, expected at least 1", stride);
  check(padding >= 0 && padding <= kernel / 2,
        "max_pool2d: padding is {}, expected 0 to half the kernel of {}", padding, kernel);
  check(x[1] + 2 * padding >= kernel && x[2] + 2 * padding >= kernel,
        "max_pool2d: kernel {} is larger than the picture with padding {} (x {})", kernel, padding, x.str());
  const auto out = [=](std::int64_t in) { return (in + 2 * padding - kernel) / stride + 1; };
  return {x[0], x[1], x[2], x[3], out(x[1]), out(x[2]), kernel, stride, padding};
}

}  // namespace dcl::tensor
