#include <cmath>

#include "tensor/cuda/row_team.h"
#include "tensor/ops/normalize.h"
#include "tensor/ops/normalize_checks.h"

namespace dcl::tensor::cuda {

namespace {

template <class Team, class T>
__device__ double dot(std::int64_t columns, const T* a, const T* b) {
  double sum = 0;
  Team::for_each_pack(columns, [&](std::int64_t c) {
    const auto from_a = load_pack<Team::kWidth>(a + c);
    const auto from_b = load_pack<Team::kWidth>(b + c);
    for (int k = 0; k < Team::kWidth; ++k)
      sum += static_cast<double>(from_a.values[k]) * static_cast<double>(from_b.values[k]);
  });
  return Team::sum(sum);
}

template <class Team, class T>
__global__ void divide_by_length(std::int64_t rows, std::int64_t columns, double eps, const T* x, T* y) {
  Team::for_each_row(rows, [&](std::int64_t row) {
    const T* x_row = x + row * columns;
    const double length = std::sqrt(dot<Team>(columns, x_row, x_row));
    const T n = static_cast<T>(length < eps ? eps : length);  // NaN stays
    Team::for_each_pack(columns, [&](std::int64_t c) {
      auto pack = load_pack<Team::kWidth>(x_row + c);
      for (T& value : pack.values) value /= n;
      store_pack(y + row * columns + c, pack);
    });
  });
}

template <class Team, class T>
__global__ void take_out_along(std::int64_t rows, std::int64_t columns, double eps, const T* grad_y,
                               const T* x, T* grad_x) {
  Team::for_each_row(rows, [&](std::int64_t row) {
    const T* x_row = x + row * columns;
    const T* grad_y_row = grad_y + row * columns;
    const double length = std::sqrt(dot<Team>(columns, x_row, x_row));
    const double dy_x = dot<Team>(columns, grad_y_row, x_row);
    const bool clamped = length < eps;
    const double n = clamped ? eps : length;
    const double along = clamped ? 0.0 : dy_x / (n * n);
    Team::for_each_pack(columns, [&](std::int64_t c) {
      const auto dy = load_pack<Team::kWidth>(grad_y_row + c);
      auto pack = load_pack<Team::kWidth>(x_row + c);
      for (int k = 0; k < Team::kWidth; ++k)
        pack.values[k] = static_cast<T>(
            (static_cast<double>(dy.values[k]) - static_cast<double>(pack.values[k]) * along) / n);
      store_pack(grad_x + row * columns + c, pack);
    });
  });
}

}  // namespace

Tensor normalize(const Tensor& x, double eps) {
  check_normalize(x, eps);
  return dispatch_float(x.dtype(), "normalize", [&]<class T>() {
    Tensor y = empty_like(x);
    with_row_team<T>(x.size(-1), {x.raw()}, [&]<class Team>() {
      launch("normalize", divide_by_length<Team, T>, Team::shape(rows_of(x)), rows_of(x), x.size(-1), eps,
             x.data<T>(), y.data<T>());
    });
    return y;
  });
}

// |x| >= eps:  dx = (dy − x (dy·x) / n²) / n, the part of dy across the row, divided by its length;
// |x| <  eps:  dx = dy / eps, since n does not move.
Tensor normalize_backward(const Tensor& grad_y, const Tensor& x, double eps) {
  check_normalize_backward(grad_y, x, eps);
  return dispatch_float(x.dtype(), "normalize", [&]<class T>() {
    Tensor grad_x = empty_like(x);
    with_row_team<T>(x.size(-1), {grad_y.raw(), x.raw()}, [&]<class Team>() {
      launch("normalize", take_out_along<Team, T>, Team::shape(rows_of(x)), rows_of(x), x.size(-1), eps,
             grad_y.data<T>(), x.data<T>(), grad_x.data<T>());
    });
    return grad_x;
  });
}

}  // namespace dcl::tensor::cuda
