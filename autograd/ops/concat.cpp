#include "tensor/ops/concat.h"

#include "autograd/ops.h"

namespace dcl::autograd {

Variable concat(const std::vector<Variable>& parts) {
  std::vector<Tensor> values;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    check(parts[i].defined(), "concat: part {} is undefined", i);
    values.push_back(parts[i].value());
  }
  check(!values.empty(), "concat: there are no parts");
  Tensor y = DCL_ON_DEVICE(values[0].device(), concat(values));
  std::vector<std::int64_t> rows;
  for (const auto& value : values) rows.push_back(value.size(0));
  return record("concat", std::move(y), parts, [rows](const Tensor& grad_y, const Needs&) {
    return DCL_ON_DEVICE(grad_y.device(), concat_backward(grad_y, rows));
  });
}

}  // namespace dcl::autograd
