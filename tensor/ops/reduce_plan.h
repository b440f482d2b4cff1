// What a reduction has to do, for both backends: the checks, y's shape, and the sums one after the other.
#pragma once

#include <vector>

#include "tensor/ops/reduce.h"

namespace dcl::tensor {

/// One run of reduced dimensions, with all that lies outside and inside of it: x [outer, rows, inner] is
/// summed over its rows to [outer, inner].
struct ReduceGroup {
  std::int64_t outer = 1;
  std::int64_t rows = 1;
  std::int64_t inner = 1;
};

/// Runs of reduced dimensions are summed one after the other, innermost first; what lies between is double.
/// None where all reduced dimensions have size 1: then y's numbers are x's, and the divisor is 1.
struct Reduction {
  std::vector<ReduceGroup> groups;
  Shape out;
  double divisor = 1;
};

Reduction plan_sum(const Tensor& x, const std::vector<int>& dims, bool keep_dims);
Reduction plan_mean(const Tensor& x, const std::vector<int>& dims, bool keep_dims);
Reduction plan_sum_to(const Tensor& x, const Shape& shape);

/// grad_y with the reduced dimensions put back at size 1.
Tensor with_reduced_dims(const char* op, const Tensor& grad_y, const Shape& x_shape,
                         const std::vector<int>& dims);

/// What a mean's dL/dy is multiplied by: `kept` numbers are means of x_shape.numel(). Throws where there are
/// none.
double mean_factor(std::int64_t kept, const Shape& x_shape);

}  // namespace dcl::tensor
