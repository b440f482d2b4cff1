#include <algorithm>
#include <utility>
#include <vector>

#include "tensor/cpu/threads.h"
#include "tensor/ops/elementwise.h"
#include "tensor/ops/reduce_plan.h"

namespace dcl::tensor {

namespace {

constexpr std::int64_t kGrain = 32768;    // elements a thread is worth waking for
constexpr std::int64_t kColumns = 512;    // columns summed at once; their sums stay in L1
constexpr std::int64_t kPartRows = 4096;  // a long sum is cut into parts of at least this many rows …
constexpr std::int64_t kMaxParts = 64;    // … but not into more than these

std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

// Σ of n consecutive numbers: eight running sums, which the compiler keeps in vector registers.
template <class T>
double sum_run(const T* x, std::int64_t n) {
  double lanes[8] = {};
  std::int64_t i = 0;
  for (; i + 8 <= n; i += 8)
    for (std::int64_t lane = 0; lane < 8; ++lane) lanes[lane] += static_cast<double>(x[i + lane]);
  double tail = 0;
  for (; i < n; ++i) tail += static_cast<double>(x[i]);
  return ((lanes[0] + lanes[4]) + (lanes[1] + lanes[5])) + ((lanes[2] + lanes[6]) + (lanes[3] + lanes[7])) +
         tail;
}

// y[column] = Σ_row x[row, column] over `rows` rows that lie `stride` apart.
template <class T>
void sum_rows(const T* x, std::int64_t rows, std::int64_t columns, std::int64_t stride, double* y) {
  if (columns == 1 && stride == 1) {
    *y = sum_run(x, rows);
    return;
  }
  std::fill_n(y, columns, 0.0);
  for (std::int64_t row = 0; row < rows; ++row)
    for (std::int64_t column = 0; column < columns; ++column)
      y[column] += static_cast<double>(x[row * stride + column]);
}

// x [outer, rows, inner] -> y [outer, inner], summed over the middle. The work is cut by the sizes alone (a
// part is some rows and some columns of one outer index), so the bits do not depend on the number of threads.
template <class T>
void sum_middle(const T* x, std::int64_t outer, std::int64_t rows, std::int64_t inner, double* y) {
  const std::int64_t blocks = ceil_div(inner, kColumns);
  const std::int64_t parts =
      outer * blocks >= kMaxParts ? 1 : std::clamp<std::int64_t>(rows / kPartRows, 1, kMaxParts);
  std::vector<double> partial;  // [parts, outer, inner]; the first part sums straight into y
  if (parts > 1) partial.resize(static_cast<std::size_t>((parts - 1) * outer * inner));
  const std::int64_t items = outer * blocks * parts;
  const std::int64_t item_size =
      std::max<std::int64_t>(1, outer * rows * inner / std::max<std::int64_t>(1, items));
  cpu::parallel_for(items, ceil_div(kGrain, item_size), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t item = begin; item < end; ++item) {
      const std::int64_t part = item % parts;
      const std::int64_t block = item / parts % blocks;
      const std::int64_t o = item / parts / blocks;
      const std::int64_t first_row = rows * part / parts;
      const std::int64_t last_row = rows * (part + 1) / parts;
      const std::int64_t column = block * kColumns;
      double* sums = part == 0 ? y : partial.data() + (part - 1) * outer * inner;
      sum_rows(x + (o * rows + first_row) * inner + column, last_row - first_row,
               std::min(kColumns, inner - column), inner, sums + o * inner + column);
    }
  });
  for (std::int64_t part = 1; part < parts; ++part)
    for (std::int64_t i = 0; i < outer * inner; ++i)
      y[i] += partial[static_cast<std::size_t>((part - 1) * outer * inner + i)];
}

// Σ over the groups / divisor.
template <class T>
Tensor reduce(const Tensor& x, const Reduction& reduction) {
  Tensor y = Tensor::empty(reduction.out, x.options());
  if (x.numel() == 0) {
    y.fill(0);
    return y;
  }
  if (reduction.groups.empty()) {
    y.copy_from(x.reshape(reduction.out));
    return y;
  }
  std::vector<double> sums;
  for (const ReduceGroup& group : reduction.groups) {
    std::vector<double> next(static_cast<std::size_t>(group.outer * group.inner));
    if (sums.empty())
      sum_middle(x.data<T>(), group.outer, group.rows, group.inner, next.data());
    else
      sum_middle(sums.data(), group.outer, group.rows, group.inner, next.data());
    sums = std::move(next);
  }
  T* y_data = y.data<T>();
  for (std::int64_t i = 0; i < y.numel(); ++i)
    y_data[i] = static_cast<T>(sums[static_cast<std::size_t>(i)] / reduction.divisor);
  return y;
}

Tensor reduce(const char* op, const Tensor& x, const Reduction& reduction) {
  return dispatch_float(x.dtype(), op, [&]<class T>() { return reduce<T>(x, reduction); });
}

}  // namespace

namespace cpu {

Tensor sum(const Tensor& x, const std::vector<int>& dims, bool keep_dims) {
  return reduce("sum", x, plan_sum(x, dims, keep_dims));
}

Tensor sum_backward(const Tensor& grad_y, const Shape& x_shape, const std::vector<int>& dims) {
  return expand(with_reduced_dims("sum", grad_y, x_shape, dims), x_shape);
}

Tensor mean(const Tensor& x, const std::vector<int>& dims, bool keep_dims) {
  return reduce("mean", x, plan_mean(x, dims, keep_dims));
}

Tensor mean_backward(const Tensor& grad_y, const Shape& x_shape, const std::vector<int>& dims) {
  const Tensor kept = with_reduced_dims("mean", grad_y, x_shape, dims);
  return expand(scale(kept, mean_factor(kept.numel(), x_shape)), x_shape);
}

Tensor sum_to(const Tensor& x, const Shape& shape) { return reduce("sum_to", x, plan_sum_to(x, shape)); }

}  // namespace cpu
}  // namespace dcl::tensor
