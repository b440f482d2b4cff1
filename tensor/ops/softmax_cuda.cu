#include <cmath>

#include "tensor/cuda/row_team.h"
#include "tensor/ops/softmax.h"
#include "tensor/ops/softmax_checks.h"

namespace dcl::tensor::cuda {

namespace {

template <class Team, class T>
__device__ T largest(std::int64_t columns, const T* row) {
  T m = -std::numeric_limits<T>::infinity();
  Team::for_each_pack(columns, [&](std::int64_t c) {
    const auto pack = load_pack<Team::kWidth>(row + c);
    for (const T value : pack.values) m = value > m || value != value ? value : m;
  });
  return Team::max(m);
}

template <class Team, class T>
__device__ double sum_of_exp(std::int64_t columns, const T* row, T m) {
  double sum = 0;
  Team::for_each_pack(columns, [&](std::int64_t c) {
    const auto pack = load_pack<Team::kWidth>(row + c);
    for (const T value : pack.values) sum += static_cast<double>(std::exp(value - m));
  });
  return Team::sum(sum);
}

// y = f(x) for every number of a row of x.
template <class Team, class T, class F>
__device__ void write_row(std::int64_t columns, const T* x, T* y, F f) {
  Team::for_each_pack(columns, [&](std::int64_t c) {
    auto pack = load_pack<Team::kWidth>(x + c);
    for (T& value : pack.values) value = f(value);
    store_pack(y + c, pack);
  });
}

template <bool Log, class Team, class T>
__global__ void softmax_rows(std::int64_t rows, std::int64_t columns, const T* x, T* y) {
  Team::for_each_row(rows, [&](std::int64_t row) {
    const T* x_row = x + row * columns;
    const T m = largest<Team>(columns, x_row);
    const double sum = sum_of_exp<Team>(columns, x_row, m);
    if constexpr (Log) {
      const T log_sum = static_cast<T>(std::log(sum));
      write_row<Team>(columns, x_row, y + row * columns, [&](T value) { return value - m - log_sum; });
    } else {
      const T scale = static_cast<T>(1 / sum);
      write_row<Team>(columns, x_row, y + row * columns,
                      [&](T value) { return std::exp(value - m) * scale; });
    }
  });
}

template <bool Log, class Team, class T>
__global__ void softmax_gradient(std::int64_t rows, std::int64_t columns, const T* grad_y, const T* y,
                                 T* grad_x) {
  Team::for_each_row(rows, [&](std::int64_t row) {
    const std::int64_t first = row * columns;
    double sum = 0;  // log: Σ_k dy_k; else Σ_k dy_k y_k
    Team::for_each_pack(columns, [&](std::int64_t c) {
      const auto dy = load_pack<Team::kWidth>(grad_y + first + c);
      const auto p = load_pack<Team::kWidth>(y + first + c);
      for (int k = 0; k < Team::kWidth; ++k)
        sum += static_cast<double>(Log ? dy.values[k] : dy.values[k] * p.values[k]);
    });
    const T total = static_cast<T>(Team::sum(sum));
    Team::for_each_pack(columns, [&](std::int64_t c) {
      const auto dy = load_pack<Team::kWidth>(grad_y + first + c);
      auto pack = load_pack<Team::kWidth>(y + first + c);
      for (int k = 0; k < Team::kWidth; ++k)
        pack.values[k] =
            Log ? dy.values[k] - std::exp(pack.values[k]) * total : pack.values[k] * (dy.values[k] - total);
      store_pack(grad_x + first + c, pack);
    });
  });
}

template <bool Log>
Tensor forward(const char* op, const Tensor& x) {
  check_softmax(op, x);
  return dispatch_float(x.dtype(), op, [&]<class T>() {
    Tensor y = empty_like(x);
    with_row_team<T>(x.size(-1), {x.raw()}, [&]<class Team>() {
      launch(op, softmax_rows<Log, Team, T>, Team::shape(rows_of(x)), rows_of(x), x.size(-1), x.data<T>(),
             y.data<T>());
    });
    return y;
  });
}

template <bool Log>
Tensor backward(const char* op, const Tensor& grad_y, const Tensor& y) {
  check_softmax_backward(op, grad_y, y);
  return dispatch_float(y.dtype(), op, [&]<class T>() {
    Tensor grad_x = empty_like(y);
    with_row_team<T>(y.size(-1), {grad_y.raw(), y.raw()}, [&]<class Team>() {
      launch(op, softmax_gradient<Log, Team, T>, Team::shape(rows_of(y)), rows_of(y), y.size(-1),
             grad_y.data<T>(), y.data<T>(), grad_x.data<T>());
    });
    return grad_x;
  });
}

}  // namespace

Tensor softmax(const Tensor& x) { return forward<false>("softmax", x); }

// dx_c = y_c (dy_c − Σ_k dy_k y_k)
Tensor softmax_backward(const Tensor& grad_y, const Tensor& y) {
  return backward<false>("softmax", grad_y, y);
}

Tensor log_softmax(const Tensor& x) { return forward<true>("log_softmax", x); }

// dx_c = dy_c − exp(y_c) Σ_k dy_k
Tensor log_softmax_backward(const Tensor& grad_y, const Tensor& y) {
  return backward<true>("log_softmax", grad_y, y);
}

}  // namespace dcl::tensor::cuda
