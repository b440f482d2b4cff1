// The convolutions of a network as its parameters name them, with the sizes that pictures of a given side
// have there.
#pragma once

#include "bench/ops/op.h"

namespace dcl::bench {

/// What follows a convolution's batch norm.
enum class After { nothing, relu, residual_relu };

struct ConvLayer {
  std::int64_t side = 0;  // of the square input
  std::int64_t in = 0, out = 0;
  std::int64_t kernel = 1, stride = 1;
  After after = After::nothing;

  std::int64_t out_side() const { return (side + stride - 1) / stride; }  // padding is kernel / 2
};

/// Those of the backbone, in order, repeated ones too.
std::vector<ConvLayer> backbone_convolutions(const Network& network);

/// Side of the backbone's map.
std::int64_t map_side(const Network& network);

}  // namespace dcl::bench
