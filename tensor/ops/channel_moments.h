// What batch normalisation wants to know of its input: of each channel the mean of all rows and how far they
// are from it. A convolution can take it from its sums before they leave the cache.
#pragma once

#include <cstdint>

#include "tensor/tensor.h"

namespace dcl::tensor {

/// Of a tensor [...,C], float64 [C] each. Undefined where nobody has taken them.
struct ChannelMoments {
  Tensor mean;
  Tensor squares;         // Σ (x − mean)²
  std::int64_t rows = 0;  // terms of each sum

  bool defined() const { return mean.defined(); }
};

}  // namespace dcl::tensor
