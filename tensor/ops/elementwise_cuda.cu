#include "tensor/cuda/kernel.h"
#include "tensor/ops/elementwise_parts.h"

namespace dcl::tensor::cuda {
namespace {

constexpr int kThreads = 128;
constexpr int kMostRuns = 16;  // outside of the innermost

template <class T>
constexpr int kPerLine = 16 / static_cast<int>(sizeof(T));

// What the kernels apply: the values and gradients of elementwise_functors.h as calls.
template <class Op>
struct Value {
  template <class... X>
  __device__ auto operator()(X... x) const {
    return Op::value(x...);
  }
};
template <class Op>
struct Gradient {
  template <class X>
  __device__ X operator()(X saved, X grad_y) const {
    return Op::gradient(saved, grad_y);
  }
};
template <class Op>
struct GradientA {
  template <class X>
  __device__ X operator()(X a, X b, X grad_y) const {
    return Op::gradient_a(a, b, grad_y);
  }
};
template <class Op>
struct GradientB {
  template <class X>
  __device__ X operator()(X a, X b, X grad_y) const {
    return Op::gradient_b(a, b, grad_y);
  }
};
template <class T>
struct Scale {
  T factor;
  __device__ T operator()(T x) const { return factor * x; }
};
struct Same {
  template <class X>
  __device__ X operator()(X x) const {
    return x;
  }
};

template <class T, int K>
struct Operands {
  const T* data[K];
};

// f of the `at`-th numbers of K packs, computed in Compute<T>.
template <class F, class T, int N, int K>
__device__ T apply(const F& f, const Pack<T, N> (&in)[K], int at) {
  if constexpr (K == 1)
    return static_cast<T>(f(widened(in[0].values[at])));
  else if constexpr (K == 2)
    return static_cast<T>(f(widened(in[0].values[at]), widened(in[1].values[at])));
  else
    return static_cast<T>(f(widened(in[0].values[at]), widened(in[1].values[at]), widened(in[2].values[at])));
}

template <int N, class F, class T, int K>
__device__ void zip_pack(const F& f, std::int64_t at, const Operands<T, K>& in, T* y) {
  Pack<T, N> from[K];
  for (int k = 0; k < K; ++k) from[k] = load_pack<N>(in.data[k] + at);
  Pack<T, N> to;
  for (int j = 0; j < N; ++j) to.values[j] = apply(f, from, j);
  store_pack(y + at, to);
}

// y[i] = f(x[i]…): the first packs · kPerLine of them by lines of 16 bytes. y may be one of the operands.
template <class F, class T, int K>
__global__ void zip(F f, std::int64_t n, std::int64_t packs, Operands<T, K> in, T* y) {
  constexpr int kPack = kPerLine<T>;
  for (const std::int64_t i : grid_stride(packs)) zip_pack<kPack>(f, i * kPack, in, y);
  for (const std::int64_t i : grid_stride(n - packs * kPack)) zip_pack<1>(f, packs * kPack + i, in, y);
}

// Walk's runs for a kernel: how far an operand goes with a step along each; 0 where it is stretched.
struct Runs {
  std::int64_t inner_size;
  std::int64_t inner_step[2];
  int outer;  // the others, innermost first
  std::int64_t size[kMostRuns];
  std::int64_t step[kMostRuns][2];
};

// y[i] = f(a[…], b[…], grad_y[i]), as many of these as there are operands, in packs of N along the innermost
// run.
template <class F, class T, int N, int K>
__global__ void stretch(F f, std::int64_t packs, Runs runs, Operands<T, K> in, T* y) {
  const std::int64_t row_packs = runs.inner_size / N;
  for (const std::int64_t i : grid_stride(packs)) {
    std::int64_t row = i / row_packs;
    const std::int64_t column = (i - row * row_packs) * N;
    std::int64_t offset[2] = {column * runs.inner_step[0], column * runs.inner_step[1]};
    for (int r = 0; r < runs.outer; ++r) {
      const std::int64_t next = row / runs.size[r];
      const std::int64_t index = row - next * runs.size[r];
      offset[0] += index * runs.step[r][0];
      offset[1] += index * runs.step[r][1];
      row = next;
    }
    Pack<T, N> from[K];
    for (int k = 0; k < K; ++k) {
      if (k == 2) {
        from[k] = load_pack<N>(in.data[k] + i * N);
      } else if (runs.inner_step[k] == 1) {
        from[k] = load_pack<N>(in.data[k] + offset[k]);
      } else {
        const T value = in.data[k][offset[k]];
        for (int j = 0; j < N; ++j) from[k].values[j] = value;
      }
    }
    Pack<T, N> to;
    for (int j = 0; j < N; ++j) to.values[j] = apply(f, from, j);
    store_pack(y + i * N, to);
  }
}

Runs runs_of(const char* op, const Walk& walk) {
  check(walk.runs.size() <= kMostRuns, "{}: shapes that alternate in {} places, expected at most {}", op,
        walk.runs.size(), kMostRuns);
  Runs runs{};
  runs.inner_size = walk.inner().size;
  std::int64_t stride[2] = {1, 1};
  for (int k = 0; k < 2; ++k) {
    runs.inner_step[k] = walk.inner().moves[static_cast<std::size_t>(k)] ? 1 : 0;
    if (runs.inner_step[k] == 1) stride[k] = runs.inner_size;
  }
  for (auto run = walk.runs.rbegin() + 1; run != walk.runs.rend(); ++run) {
    runs.size[runs.outer] = run->size;
    for (int k = 0; k < 2; ++k) {
      if (!run->moves[static_cast<std::size_t>(k)]) continue;
      runs.step[runs.outer][k] = stride[k];
      stride[k] *= run->size;
    }
    ++runs.outer;
  }
  return runs;
}

template <class T, int K>
bool on_lines(const Operands<T, K>& in, const T* y) {
  auto bits = reinterpret_cast<std::uintptr_t>(y);
  for (const T* data : in.data) bits |= reinterpret_cast<std::uintptr_t>(data);
  return bits % 16 == 0;
}

// y = f(operands…), all of y's shape.
template <class F, class T, int K>
void run_zip(const char* op, const F& f, const Operands<T, K>& in, Tensor& y) {
  const std::int64_t n = y.numel();
  T* to = y.data<T>();
  const std::int64_t packs = on_lines(in, to) ? n / kPerLine<T> : 0;
  launch(op, zip<F, T, K>, {.grid = blocks_for(packs > 0 ? packs : n, kThreads), .block = dim3(kThreads)}, f,
         n, packs, in, to);
}

// y = f(a, b, grad_y) or the first of them; a and b broadcast to y's shape.
template <class F, class T, int K>
void run(const char* op, const F& f, const Shape& a, const Shape& b, const Operands<T, K>& in, Tensor& y) {
  const Walk walk(y.shape(), a, b);
  if (walk.runs.size() == 1 && walk.inner().moves == std::array{true, true}) {
    run_zip(op, f, in, y);
    return;
  }
  const Runs runs = runs_of(op, walk);
  T* to = y.data<T>();
  const auto by = [&]<int N>() {
    const std::int64_t packs = y.numel() / N;
    launch(op, stretch<F, T, N, K>, {.grid = blocks_for(packs, kThreads), .block = dim3(kThreads)}, f, packs,
           runs, in, to);
  };
  if (on_lines(in, to) && runs.inner_size % kPerLine<T> == 0)
    by.template operator()<kPerLine<T>>();
  else
    by.template operator()<1>();
}

}  // namespace

Tensor unary(UnaryOp op, const Tensor& x) {
  check(x.defined(), "{}: x is undefined", name_of(op));
  return dispatch_activation(x.dtype(), name_of(op), [&]<class T>() {
    Tensor y = empty_like(x);
    with_functor(op,
                 [&]<class Op>(Op) { run_zip(name_of(op), Value<Op>{}, Operands<T, 1>{{x.data<T>()}}, y); });
    return y;
  });
}

Tensor unary_backward(UnaryOp op, const Tensor& saved, const Tensor& grad_y) {
  check_pair(name_of(op), "saved", saved, "grad_y", grad_y);
  check_shape(name_of(op), "grad_y", grad_y, saved.shape());
  return dispatch_activation(saved.dtype(), name_of(op), [&]<class T>() {
    Tensor grad_x = empty_like(saved);
    with_functor(op, [&]<class Op>(Op) {
      run_zip(name_of(op), Gradient<Op>{}, Operands<T, 2>{{saved.data<T>(), grad_y.data<T>()}}, grad_x);
    });
    return grad_x;
  });
}

Tensor binary(BinaryOp op, const Tensor& a, const Tensor& b) {
  check_pair(name_of(op), "a", a, "b", b);
  return dispatch_activation(a.dtype(), name_of(op), [&]<class T>() {
    Tensor y = Tensor::empty(broadcast_shapes(a.shape(), b.shape(), name_of(op)), a.options());
    with_functor(op, [&]<class Op>(Op) {
      run(name_of(op), Value<Op>{}, a.shape(), b.shape(), Operands<T, 2>{{a.data<T>(), b.data<T>()}}, y);
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
    with_functor(op, [&]<class Op>(Op) {
      run(name_of(op), GradientA<Op>{}, a.shape(), b.shape(),
          Operands<T, 3>{{a.data<T>(), b.data<T>(), grad_y.data<T>()}}, grad_a);
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
    with_functor(op, [&]<class Op>(Op) {
      run(name_of(op), GradientB<Op>{}, a.shape(), b.shape(),
          Operands<T, 3>{{a.data<T>(), b.data<T>(), grad_y.data<T>()}}, grad_b);
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
  dispatch_activation(a.dtype(), "add_inplace", [&]<class T>() {
    run_zip("add_inplace", Value<functors::Add>{}, Operands<T, 2>{{a.data<T>(), b.data<T>()}}, a);
  });
}

Tensor scale(const Tensor& x, double factor) {
  check(x.defined(), "scale: x is undefined");
  return dispatch_float(x.dtype(), "scale", [&]<class T>() {
    Tensor y = empty_like(x);
    run_zip("scale", Scale<T>{static_cast<T>(factor)}, Operands<T, 1>{{x.data<T>()}}, y);
    return y;
  });
}

Tensor expand(const Tensor& x, const Shape& shape) {
  check_expand(x, shape);
  return dispatch_float(x.dtype(), "expand", [&]<class T>() {
    Tensor y = Tensor::empty(shape, x.options());
    run("expand", Same{}, x.shape(), x.shape(), Operands<T, 1>{{x.data<T>()}}, y);
    return y;
  });
}

}  // namespace dcl::tensor::cuda
