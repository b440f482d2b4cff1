// A row of the tables of convolutions that the tests of their paths run.
#pragma once

#include "tensor/ops/conv2d.h"
#include "tensor/tensor.h"

namespace dcl::test {

struct Conv2dRow {
  tensor::Shape x;  // [N,H,W,I]
  std::int64_t out_channels, kernel;
  tensor::Conv2dParams params;

  tensor::Shape weight_shape() const { return {out_channels, kernel, kernel, x[3] / params.groups}; }
};

}  // namespace dcl::test
