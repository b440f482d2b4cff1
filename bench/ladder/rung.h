// The ladder of convolutions: the same pass of the same convolution, from the loops of its formula to the
// fastest kernels, each a rung that is checked and timed against the one before (bench/ladder.cpp).
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "tensor/ops/conv2d.h"

namespace dcl::bench {

using tensor::Conv2dSizes;
using tensor::Tensor;

enum class Pass : std::uint8_t { forward, input_gradient, weight_gradient };

/// One pass of a convolution of one group. All three tensors are there in every pass, float32.
struct Problem {
  Conv2dSizes sizes;
  Pass pass;
  Tensor x, weight, dy;

  /// Of the result: y's, x's or the weight's.
  tensor::Shape result_shape() const;
  /// An uninitialised result.
  Tensor result(tensor::DType dtype = tensor::DType::float32) const;
};

struct Rung {
  std::string name;
  std::function<Tensor()> run;  // makes the result anew, in float32 or bfloat16
  /// The root-mean-square error that is allowed: times that of a plain float32 product, and for bfloat16 a
  /// share of the root mean square of the result.
  double of_plain = 0;
  double of_result = 0;
};

/// Those that the problem has, simple first. They hold its tensors.
std::vector<Rung> rungs_of(const Problem& problem);
/// The rung whose error the others are measured by.
inline constexpr const char* kPlainProduct = "im2col, one product (BLAS)";

// bench/ladder/loops.cpp

/// The loops of the formula in tensor/ops/conv2d.h, sums in the type of the operands: float32 or float64.
Tensor loops(const Problem& problem);
/// The same in double precision: what the rungs are checked against.
Tensor exact(const Problem& problem);

// bench/ladder/im2col_product.cpp

/// The whole im2col matrix [N·Ho·Wo, kH·kW·I], and one product of it.
Tensor im2col_product(const Problem& problem);
/// True where that matrix is x itself: 1×1, stride 1, no padding.
bool has_rows_in_place(const Conv2dSizes& z);
/// The product without the matrix, where x is it.
Tensor product_in_place(const Problem& problem);

}  // namespace dcl::bench
