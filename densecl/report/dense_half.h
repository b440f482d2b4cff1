// What the dense half of DenseCL costs (densecl/encoder.h, kDenseHalf), against what a product of the same
// run could do.
#pragma once

#include <cstdint>
#include <string>

#include "tensor/profile.h"

namespace dcl::densecl::report {

/// Of one step: for each op the median over the steps.
struct DenseHalf {
  struct Part {
    double flop = 0;  // of the plain formulas
    double seconds = 0;

    double rate() const { return flop / seconds; }
  };
  Part dense;    // dense head forward and backward, both encoders; pooling, match, normalisation, dense loss
  Part conv1x1;  // the other 1×1 convolutions: the backbones', all three passes

  /// What `dense` would take at the rate of `conv1x1`.
  double seconds_at_that_rate() const { return dense.flop / conv1x1.rate(); }
  double ratio() const { return dense.seconds / seconds_at_that_rate(); }
  /// Three lines, without a final newline.
  std::string str() const;
};

/// From a recording of `steps` steps with the same ops each. Throws where they differ, or have no dense half.
DenseHalf dense_half(const tensor::ProfileRecording& recording, std::int64_t steps);

}  // namespace dcl::densecl::report
