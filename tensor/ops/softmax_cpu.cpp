#include <algorithm>
#include <cmath>

#include "tensor/cpu/threads.h"
#include "tensor/ops/softmax.h"
#include "tensor/ops/softmax_checks.h"

namespace dcl::tensor::cpu {

namespace {

constexpr std::int64_t kGrain = 4096;  // elements; exp makes them dear

// Runs body(offset of a row) for all rows of x.
template <class F>
void for_each_row(const Tensor& x, F body) {
  if (x.numel() == 0) return;
  const std::int64_t columns = x.size(-1);
  parallel_for(x.numel() / columns, kGrain / columns + 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) body(row * columns);
  });
}

}  // namespace

Tensor softmax(const Tensor& x) {
  check_softmax("softmax", x);
  return dispatch_float(x.dtype(), "softmax", [&]<class T>() {
    const std::int64_t columns = x.size(-1);
    Tensor y = empty_like(x);
    for_each_row(x, [&, x_data = x.data<T>(), y_data = y.data<T>()](std::int64_t row) {
      const T* x_row = x_data + row;
      T* y_row = y_data + row;
      const T m = *std::max_element(x_row, x_row + columns);
      double sum = 0;
      for (std::int64_t c = 0; c < columns; ++c)
        sum += static_cast<double>(y_row[c] = std::exp(x_row[c] - m));
      const T scale = static_cast<T>(1 / sum);
      for (std::int64_t c = 0; c < columns; ++c) y_row[c] *= scale;
    });
    return y;
  });
}

// dx_c = y_c (dy_c − Σ_k dy_k y_k)
Tensor softmax_backward(const Tensor& grad_y, const Tensor& y) {
  check_softmax_backward("softmax", grad_y, y);
  return dispatch_float(y.dtype(), "softmax", [&]<class T>() {
    const std::int64_t columns = y.size(-1);
    Tensor grad_x = empty_like(y);
    for_each_row(y, [&, y_data = y.data<T>(), grad_y_data = grad_y.data<T>(),
                     grad_x_data = grad_x.data<T>()](std::int64_t row) {
      double sum = 0;
      for (std::int64_t c = row; c < row + columns; ++c)
        sum += static_cast<double>(grad_y_data[c] * y_data[c]);
      for (std::int64_t c = row; c < row + columns; ++c)
        grad_x_data[c] = y_data[c] * (grad_y_data[c] - static_cast<T>(sum));
    });
    return grad_x;
  });
}

Tensor log_softmax(const Tensor& x) {
  check_softmax("log_softmax", x);
  return dispatch_float(x.dtype(), "log_softmax", [&]<class T>() {
    const std::int64_t columns = x.size(-1);
    Tensor y = empty_like(x);
    for_each_row(x, [&, x_data = x.data<T>(), y_data = y.data<T>()](std::int64_t row) {
      const T* x_row = x_data + row;
      const T m = *std::max_element(x_row, x_row + columns);
      double sum = 0;
      for (std::int64_t c = 0; c < columns; ++c) sum += static_cast<double>(std::exp(x_row[c] - m));
      const T log_sum = static_cast<T>(std::log(sum));
      for (std::int64_t c = 0; c < columns; ++c) y_data[row + c] = x_row[c] - m - log_sum;
    });
    return y;
  });
}

// dx_c = dy_c − exp(y_c) Σ_k dy_k
Tensor log_softmax_backward(const Tensor& grad_y, const Tensor& y) {
  check_softmax_backward("log_softmax", grad_y, y);
  return dispatch_float(y.dtype(), "log_softmax", [&]<class T>() {
    const std::int64_t columns = y.size(-1);
    Tensor grad_x = empty_like(y);
    for_each_row(y, [&, y_data = y.data<T>(), grad_y_data = grad_y.data<T>(),
                     grad_x_data = grad_x.data<T>()](std::int64_t row) {
      double sum = 0;
      for (std::int64_t c = row; c < row + columns; ++c) sum += static_cast<double>(grad_y_data[c]);
      for (std::int64_t c = row; c < row + columns; ++c)
        grad_x_data[c] = grad_y_data[c] - std::exp(y_data[c]) * static_cast<T>(sum);
    });
    return grad_x;
  });
}

}  // namespace dcl::tensor::cpu
