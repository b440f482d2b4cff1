#include "tensor/ops/concat.h"

namespace dcl::tensor::cpu {

Tensor concat(const std::vector<Tensor>& parts) {
  check(!parts.empty(), "concat: there are no parts");
  for (std::size_t i = 0; i < parts.size(); ++i) {
    check(parts[i].defined(), "concat: part {} is undefined", i);
    check(parts[i].dim() >= 1, "concat: part {} is a scalar, expected at least one dimension", i);
  }
  std::vector<std::int64_t> sizes = parts[0].shape().sizes();
  sizes[0] = 0;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    std::vector<std::int64_t> part = parts[i].shape().sizes();
    const std::int64_t rows = part[0];
    part[0] = sizes[0];
    check(parts[i].dtype() == parts[0].dtype() && part == sizes,
          "concat: part {} is {}, part 0 is {}; only the first size may differ", i, parts[i].str(),
          parts[0].str());
    sizes[0] += rows;
  }
  Tensor y = Tensor::empty(Shape(sizes), parts[0].options());
  std::int64_t begin = 0;
  for (const auto& part : parts) {
    y.rows(begin, begin + part.size(0)).copy_from(part);
    begin += part.size(0);
  }
  return y;
}

std::vector<Tensor> concat_backward(const Tensor& grad_y, const std::vector<std::int64_t>& rows) {
  check(grad_y.defined(), "concat: grad_y is undefined");
  std::vector<Tensor> grads;
  std::int64_t begin = 0;
  for (const auto count : rows) {
    grads.push_back(grad_y.rows(begin, begin + count));
    begin += count;
  }
  return grads;
}

}  // namespace dcl::tensor::cpu
