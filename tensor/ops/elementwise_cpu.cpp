#include <algorithm>

#include "tensor/cpu/row_sums.h"
#include "tensor/cpu/threads.h"
#include "tensor/ops/elementwise.h"
#include "tensor/ops/elementwise_parts.h"

namespace dcl::tensor {

namespace {

constexpr std::int64_t kGrain = 32768;  // elements a thread is worth waking for

// y[i] = f(a[i or 0], b[i or 0], i): the three cases are loops of their own, so that each is vectorised.
template <class T, class F>
void inner_loop(const Walk::Run& run, const T* a, const T* b, T* y, std::int64_t n, F f) {
  if (run.moves[0] && run.moves[1]) {
    for (std::int64_t i = 0; i < n; ++i) y[i] = f(a[i], b[i], i);
  } else if (run.moves[0]) {
    const T value = *b;
    for (std::int64_t i = 0; i < n; ++i) y[i] = f(a[i], value, i);
  } else {
    const T value = *a;
    for (std::int64_t i = 0; i < n; ++i) y[i] = f(value, b[i], i);
  }
}

// Runs f(a, b, position in y) over the output, shared out over the threads.
template <class T, class F>
void broadcast_loop(const Tensor& a, const Tensor& b, Tensor& y, F f) {
  const Walk walk(y.shape(), a.shape(), b.shape());
  const std::int64_t inner = walk.inner().size;
  const T* a_data = a.data<T>();
  const T* b_data = b.data<T>();
  T* y_data = y.data<T>();
  cpu::parallel_for(y.numel(), kGrain, [&](std::int64_t begin, std::int64_t end) {
    while (begin < end) {
      const std::int64_t row = begin / inner;
      const std::int64_t column = begin - row * inner;
      const std::int64_t n = std::min(inner - column, end - begin);
      const auto offset = walk.offsets(row);
      const T* a_row = a_data + offset[0] + (walk.inner().moves[0] ? column : 0);
      const T* b_row = b_data + offset[1] + (walk.inner().moves[1] ? column : 0);
      inner_loop(walk.inner(), a_row, b_row, y_data + begin, n,
                 [&](T a_value, T b_value, std::int64_t i) { return f(a_value, b_value, begin + i); });
      begin += n;
    }
  });
}

}  // namespace

namespace cpu {

Tensor unary(UnaryOp op, const Tensor& x) {
  check(x.defined(), "{}: x is undefined", name_of(op));
  return dispatch_activation(x.dtype(), name_of(op), [&]<class T>() {
    Tensor y = empty_like(x);
    count_work({0, bytes_of({&x, &y})}, name_of(op));
    const T* x_data = x.data<T>();
    T* y_data = y.data<T>();
    with_functor(op, [&](auto functor) {
      parallel_for(x.numel(), kGrain, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i)
          y_data[i] = static_cast<T>(functor.value(widened(x_data[i])));
      });
    });
    return y;
  });
}

Tensor unary_backward(UnaryOp op, const Tensor& saved, const Tensor& grad_y) {
  check_pair(name_of(op), "saved", saved, "grad_y", grad_y);
  check_shape(name_of(op), "grad_y", grad_y, saved.shape());
  return dispatch_activation(saved.dtype(), name_of(op), [&]<class T>() {
    Tensor grad_x = empty_like(saved);
    count_work({0, bytes_of({&saved, &grad_y, &grad_x})}, name_of(op));
    const T* saved_data = saved.data<T>();
    const T* grad_y_data = grad_y.data<T>();
    T* grad_x_data = grad_x.data<T>();
    with_functor(op, [&](auto functor) {
      parallel_for(saved.numel(), kGrain, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i)
          grad_x_data[i] = static_cast<T>(functor.gradient(widened(saved_data[i]), widened(grad_y_data[i])));
      });
    });
    return grad_x;
  });
}

Tensor binary(BinaryOp op, const Tensor& a, const Tensor& b) {
  check_pair(name_of(op), "a", a, "b", b);
  return dispatch_activation(a.dtype(), name_of(op), [&]<class T>() {
    Tensor y = Tensor::empty(broadcast_shapes(a.shape(), b.shape(), name_of(op)), a.options());
    count_work({0, bytes_of({&a, &b, &y})}, name_of(op));
    with_functor(op, [&](auto functor) {
      broadcast_loop<T>(a, b, y, [=](T x1, T x2, std::int64_t) {
        return static_cast<T>(functor.value(widened(x1), widened(x2)));
      });
    });
    return y;
  });
}

Tensor binary_backward_a(BinaryOp op, const Tensor& a, const Tensor& b, const Tensor& grad_y) {
  check_pair(name_of(op), "a", a, "b", b);
  check_pair(name_of(op), "a", a, "grad_y", grad_y);
  check_shape(name_of(op), "grad_y", grad_y, broadcast_shapes(a.shape(), b.shape(), name_of(op)));
  return dispatch_activation(a.dtype(), name_of(op), [&]<class T>() {
    Tensor grad_a = empty_like(grad_y);
    const T* g = grad_y.data<T>();
    with_functor(op, [&](auto functor) {
      broadcast_loop<T>(a, b, grad_a, [=](T x1, T x2, std::int64_t i) {
        return static_cast<T>(functor.gradient_a(widened(x1), widened(x2), widened(g[i])));
      });
    });
    return grad_a;
  });
}

Tensor binary_backward_b(BinaryOp op, const Tensor& a, const Tensor& b, const Tensor& grad_y) {
  check_pair(name_of(op), "a", a, "b", b);
  check_pair(name_of(op), "b", b, "grad_y", grad_y);
  check_shape(name_of(op), "grad_y", grad_y, broadcast_shapes(a.shape(), b.shape(), name_of(op)));
  return dispatch_activation(b.dtype(), name_of(op), [&]<class T>() {
    Tensor grad_b = empty_like(grad_y);
    const T* g = grad_y.data<T>();
    with_functor(op, [&](auto functor) {
      broadcast_loop<T>(a, b, grad_b, [=](T x1, T x2, std::int64_t i) {
        return static_cast<T>(functor.gradient_b(widened(x1), widened(x2), widened(g[i])));
      });
    });
    return grad_b;
  });
}

Tensor add(const Tensor& a, const Tensor& b) { return binary(BinaryOp::add, a, b); }
Tensor sub(const Tensor& a, const Tensor& b) { return binary(BinaryOp::sub, a, b); }
Tensor mul(const Tensor& a, const Tensor& b) { return binary(BinaryOp::mul, a, b); }
Tensor div(const Tensor& a, const Tensor& b) { return binary(BinaryOp::div, a, b); }

void add_inplace(Tensor& a, const Tensor& b) {
  check_pair("add_inplace", "a", a, "b", b);
  check_shape("add_inplace", "b", b, a.shape());
  count_work({0, 2 * bytes_of({&a}) + bytes_of({&b})});
  dispatch_activation(a.dtype(), "add_inplace", [&]<class T>() {
    T* a_data = a.data<T>();
    const T* b_data = b.data<T>();
    parallel_for(a.numel(), kGrain, [&](std::int64_t begin, std::int64_t end) {
      row_sums<T>().add_row(end - begin, b_data + begin, a_data + begin);
    });
  });
}

Tensor scale(const Tensor& x, double factor) {
  check(x.defined(), "scale: x is undefined");
  return dispatch_float(x.dtype(), "scale", [&]<class T>() {
    Tensor y = empty_like(x);
    const T* x_data = x.data<T>();
    T* y_data = y.data<T>();
    parallel_for(x.numel(), kGrain, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) y_data[i] = static_cast<T>(factor) * x_data[i];
    });
    return y;
  });
}

Tensor expand(const Tensor& x, const Shape& shape) {
  check_expand(x, shape);
  return dispatch_float(x.dtype(), "expand", [&]<class T>() {
    Tensor y = Tensor::empty(shape, x.options());
    // y stands in for the other operand, whose values are not used.
    broadcast_loop<T>(y, x, y, [](T, T value, std::int64_t) { return value; });
    return y;
  });
}

}  // namespace cpu
}  // namespace dcl::tensor
