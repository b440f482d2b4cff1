#include <algorithm>
#include <cmath>

#include "tensor/cpu/row_sums.h"
#include "tensor/cpu/threads.h"
#include "tensor/ops/normalize.h"
#include "tensor/ops/normalize_checks.h"

namespace dcl::tensor::cpu {

namespace {

constexpr std::int64_t kGrain = 32768;

// Runs body(offset of a row) for all rows of x; returns at once when x is empty.
template <class F>
void for_each_row(const Tensor& x, F body) {
  if (x.numel() == 0) return;
  const std::int64_t columns = x.size(-1);
  parallel_for(x.numel() / columns, kGrain / columns + 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) body(row * columns);
  });
}

}  // namespace

Tensor normalize(const Tensor& x, double eps) {
  check_normalize(x, eps);
  return dispatch_float(x.dtype(), "normalize", [&]<class T>() {
    const std::int64_t columns = x.size(-1);
    const RowSums<T>& sums = row_sums<T>();
    Tensor y = empty_like(x);
    const T* x_data = x.data<T>();
    T* y_data = y.data<T>();
    for_each_row(x, [&](std::int64_t row) {
      const double length = std::sqrt(sums.dot(columns, x_data + row, x_data + row));
      const T n = static_cast<T>(std::isnan(length) ? length : std::max(length, eps));
      sums.divide(columns, x_data + row, n, y_data + row);
    });
    return y;
  });
}

// |x| >= eps:  dx = (dy − x (dy·x) / n²) / n, the part of dy across the row, divided by its length;
// |x| <  eps:  dx = dy / eps, since n does not move.
Tensor normalize_backward(const Tensor& grad_y, const Tensor& x, double eps) {
  check_normalize_backward(grad_y, x, eps);
  return dispatch_float(x.dtype(), "normalize", [&]<class T>() {
    const std::int64_t columns = x.size(-1);
    const auto dot = row_sums<T>().dot;
    Tensor grad_x = empty_like(x);
    const T* x_data = x.data<T>();
    const T* grad_y_data = grad_y.data<T>();
    T* grad_x_data = grad_x.data<T>();
    for_each_row(x, [&](std::int64_t row) {
      const double length = std::sqrt(dot(columns, x_data + row, x_data + row));
      const bool clamped = length < eps;
      const double n = clamped ? eps : length;
      const double along = clamped ? 0.0 : dot(columns, grad_y_data + row, x_data + row) / (n * n);
      for (std::int64_t c = 0; c < columns; ++c)
        grad_x_data[row + c] = static_cast<T>(
            (static_cast<double>(grad_y_data[row + c]) - static_cast<double>(x_data[row + c]) * along) / n);
    });
    return grad_x;
  });
}

}  // namespace dcl::tensor::cpu
