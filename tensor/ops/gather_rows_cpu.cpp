#include <cstring>

#include "tensor/cpu/threads.h"
#include "tensor/ops/gather_rows.h"

namespace dcl::tensor::cpu {

namespace {

constexpr std::int64_t kGrainBytes = 1 << 17;

// Numbers that are rows of x; returns y's shape.
Shape check_index(const Shape& x_shape, const Tensor& index) {
  Shape y_shape = gather_rows_shape(x_shape, index);
  const std::int64_t rows = x_shape[0];
  const std::int64_t* numbers = index.data<std::int64_t>();
  for (std::int64_t i = 0; i < index.numel(); ++i)
    check(0 <= numbers[i] && numbers[i] < rows, "gather_rows: index[{}] is {}, x {} has {} rows", i,
          numbers[i], x_shape.str(), rows);
  return y_shape;
}

}  // namespace

Tensor gather_rows(const Tensor& x, const Tensor& index) {
  check(x.defined(), "gather_rows: x is undefined");
  Tensor y = Tensor::empty(check_index(x.shape(), index), x.options());
  if (y.numel() == 0) return y;
  const std::int64_t row_bytes = y.nbytes() / y.size(0);
  const std::int64_t* numbers = index.data<std::int64_t>();
  const auto* from = static_cast<const std::byte*>(x.raw());
  auto* to = static_cast<std::byte*>(y.raw());
  parallel_for(index.numel(), kGrainBytes / row_bytes + 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i)
      std::memcpy(to + i * row_bytes, from + numbers[i] * row_bytes, static_cast<std::size_t>(row_bytes));
  });
  return y;
}

// Threads share the columns, so that each row of dx is added up by one thread in the order of i.
Tensor gather_rows_backward(const Tensor& grad_y, const Tensor& index, const Shape& x_shape) {
  check_shape("gather_rows", "grad_y", grad_y, check_index(x_shape, index));
  return dispatch_float(grad_y.dtype(), "gather_rows", [&]<class T>() {
    Tensor grad_x = Tensor::zeros(x_shape, grad_y.options());
    if (grad_y.numel() == 0) return grad_x;
    const std::int64_t columns = grad_y.numel() / grad_y.size(0);
    const std::int64_t* numbers = index.data<std::int64_t>();
    const T* from = grad_y.data<T>();
    T* to = grad_x.data<T>();
    const std::int64_t grain = kGrainBytes / (index.numel() * size_of(grad_y.dtype())) + 16;
    parallel_for(columns, grain, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = 0; i < index.numel(); ++i)
        for (std::int64_t column = begin; column < end; ++column)
          to[numbers[i] * columns + column] += from[i * columns + column];
    });
    return grad_x;
  });
}

}  // namespace dcl::tensor::cpu
