#include <algorithm>
#include <utility>

#include "tensor/cpu/threads.h"
#include "tensor/ops/elementwise.h"
#include "tensor/ops/reduce.h"

namespace dcl::tensor {

namespace {

constexpr std::int64_t kGrain = 32768;    // elements a thread is worth waking for
constexpr std::int64_t kColumns = 512;    // columns summed at once; their sums stay in L1
constexpr std::int64_t kPartRows = 4096;  // a long sum is cut into parts of at least this many rows …
constexpr std::int64_t kMaxParts = 64;    // … but not into more than these

std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

// Which dimensions of `shape` are reduced.
std::vector<bool> reduced_mask(const char* op, const Shape& shape, const std::vector<int>& dims) {
  std::vector<bool> mask(static_cast<std::size_t>(shape.dim()), dims.empty());
  for (const int d : dims) {
    const int at = d < 0 ? d + shape.dim() : d;
    check(at >= 0 && at < shape.dim(), "{}: dimension {} of x {} does not exist", op, d, shape.str());
    check(!mask[static_cast<std::size_t>(at)], "{}: dimension {} of x {} is named twice", op, d, shape.str());
    mask[static_cast<std::size_t>(at)] = true;
  }
  return mask;
}

Shape reduced_shape(const Shape& shape, const std::vector<bool>& mask, bool keep_dims) {
  std::vector<std::int64_t> sizes;
  for (std::size_t i = 0; i < mask.size(); ++i) {
    if (!mask[i])
      sizes.push_back(shape.sizes()[i]);
    else if (keep_dims)
      sizes.push_back(1);
  }
  return Shape(std::move(sizes));
}

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

// One run of reduced dimensions, with all that lies outside and inside of it.
struct Group {
  std::int64_t outer = 1;
  std::int64_t rows = 1;
  std::int64_t inner = 1;
};

// The innermost run of dimensions that are reduced and not of size 1; false when there is none. Marks it as
// done: sets its sizes to 1.
bool next_group(std::vector<std::int64_t>& sizes, const std::vector<bool>& mask, Group& group) {
  group = {};
  std::size_t i = sizes.size();
  for (; i > 0 && (!mask[i - 1] || sizes[i - 1] == 1); --i) group.inner *= sizes[i - 1];
  if (i == 0) return false;
  for (; i > 0 && mask[i - 1]; --i) group.rows *= std::exchange(sizes[i - 1], 1);
  for (; i > 0; --i) group.outer *= sizes[i - 1];
  return true;
}

// Σ over the masked dimensions / divisor, shaped `out`. Runs of reduced dimensions are summed one after the
// other, innermost first; what lies between is double.
template <class T>
Tensor reduce(const Tensor& x, const std::vector<bool>& mask, const Shape& out, double divisor) {
  Tensor y = Tensor::empty(out, x.options());
  if (x.numel() == 0) {
    y.fill(0);
    return y;
  }
  std::vector<std::int64_t> sizes = x.shape().sizes();
  std::vector<double> sums;
  Group group;
  while (next_group(sizes, mask, group)) {
    std::vector<double> next(static_cast<std::size_t>(group.outer * group.inner));
    if (sums.empty())
      sum_middle(x.data<T>(), group.outer, group.rows, group.inner, next.data());
    else
      sum_middle(sums.data(), group.outer, group.rows, group.inner, next.data());
    sums = std::move(next);
  }
  if (sums.empty()) {  // nothing to add up: all reduced dimensions have size 1, and so has the divisor
    y.copy_from(x.reshape(out));
    return y;
  }
  T* y_data = y.data<T>();
  for (std::int64_t i = 0; i < y.numel(); ++i)
    y_data[i] = static_cast<T>(sums[static_cast<std::size_t>(i)] / divisor);
  return y;
}

Tensor reduce(const char* op, const Tensor& x, const std::vector<int>& dims, bool keep_dims, bool average) {
  check(x.defined(), "{}: x is undefined", op);
  const auto mask = reduced_mask(op, x.shape(), dims);
  const Shape out = reduced_shape(x.shape(), mask, keep_dims);
  double divisor = 1;
  if (average) {
    check(x.numel() > 0, "{}: x {} has no elements to average", op, x.shape().str());
    divisor = static_cast<double>(x.numel() / out.numel());
  }
  return dispatch_float(x.dtype(), op, [&]<class T>() { return reduce<T>(x, mask, out, divisor); });
}

// grad_y with the reduced dimensions put back at size 1.
Tensor with_reduced_dims(const char* op, const Tensor& grad_y, const Shape& x_shape,
                         const std::vector<int>& dims) {
  check(grad_y.defined(), "{}: grad_y is undefined", op);
  const Shape kept = reduced_shape(x_shape, reduced_mask(op, x_shape, dims), true);
  check(grad_y.numel() == kept.numel(), "{}: grad_y is {}, which is not the reduction of x {}", op,
        grad_y.shape().str(), x_shape.str());
  return grad_y.reshape(kept);
}

}  // namespace

namespace cpu {

Tensor sum(const Tensor& x, const std::vector<int>& dims, bool keep_dims) {
  return reduce("sum", x, dims, keep_dims, false);
}

Tensor sum_backward(const Tensor& grad_y, const Shape& x_shape, const std::vector<int>& dims) {
  return expand(with_reduced_dims("sum", grad_y, x_shape, dims), x_shape);
}

Tensor mean(const Tensor& x, const std::vector<int>& dims, bool keep_dims) {
  return reduce("mean", x, dims, keep_dims, true);
}

Tensor mean_backward(const Tensor& grad_y, const Shape& x_shape, const std::vector<int>& dims) {
  const Tensor kept = with_reduced_dims("mean", grad_y, x_shape, dims);
  check(x_shape.numel() > 0, "mean: x {} has no elements to average", x_shape.str());
  return expand(scale(kept, static_cast<double>(kept.numel()) / static_cast<double>(x_shape.numel())),
                x_shape);
}

Tensor sum_to(const Tensor& x, const Shape& shape) {
  check(x.defined(), "sum_to: x is undefined");
  check(broadcast_shapes(shape, x.shape(), "sum_to") == x.shape(), "sum_to: {} does not broadcast to x {}",
        shape.str(), x.shape().str());
  std::vector<bool> mask;
  for (int i = x.dim(); i >= 1; --i) mask.push_back(i > shape.dim() || (shape[-i] == 1 && x.size(-i) != 1));
  return dispatch_float(x.dtype(), "sum_to", [&]<class T>() { return reduce<T>(x, mask, shape, 1.0); });
}

}  // namespace cpu
}  // namespace dcl::tensor
