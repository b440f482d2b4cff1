// nearest_rows: for every row of a, the row of b in the same batch entry that points most nearly the same
// way.
//
//   index[n·R + i] = n·S + argmax_j  a[n,i]·b[n,j] / (|a[n,i]| |b[n,j]|),   j in [0, S)
//
// a [N·R, C] and b [N·S, C] hold N entries of R and S rows; index is int64 [N·R] and points into the rows of
// b. The first maximum wins. This is the dense correspondence of DenseCL, section 3.4, eq. 4. No gradient
// flows.
#pragma once

#include "tensor/tensor.h"

namespace dcl::tensor {

struct NearestRows {
  Tensor index;   // int64 [N·R]
  Tensor margin;  // [1], smallest gap between the best and the second best cosine; undefined unless asked for
};

// Throws where a and b are not matrices of the same width, or `entries` divides neither.
namespace cpu {
NearestRows nearest_rows(const Tensor& a, const Tensor& b, std::int64_t entries, bool want_margin = false);
}
namespace cuda {
NearestRows nearest_rows(const Tensor& a, const Tensor& b, std::int64_t entries, bool want_margin = false);
}

}  // namespace dcl::tensor
