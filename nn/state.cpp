#include "nn/state.h"

#include <cstring>

namespace dcl::nn {

namespace {

// out[o][b][a] = in[o][a][b], for `o` blocks of a × b elements of any type.
Tensor swap_inner(const Tensor& in, std::int64_t blocks, std::int64_t a, std::int64_t b,
                  tensor::Shape shape) {
  Tensor out = Tensor::empty(std::move(shape), in.options());
  const auto copy = [&]<class T>() {
    const T* from = in.data<T>();
    T* to = out.data<T>();
    for (std::int64_t o = 0; o < blocks; ++o, from += a * b, to += a * b)
      for (std::int64_t i = 0; i < a; ++i)
        for (std::int64_t j = 0; j < b; ++j) to[j * a + i] = from[i * b + j];
  };
  tensor::dispatch_any(in.dtype(), "transpose", copy);
  return out;
}

}  // namespace

Tensor to_pytorch_layout(const Tensor& t) {
  if (t.dim() != 4) return t;
  return swap_inner(t, t.size(0), t.size(1) * t.size(2), t.size(3),
                    {t.size(0), t.size(3), t.size(1), t.size(2)});
}

Tensor from_pytorch_layout(const Tensor& t) {
  if (t.dim() != 4) return t;
  return swap_inner(t, t.size(0), t.size(1), t.size(2) * t.size(3),
                    {t.size(0), t.size(2), t.size(3), t.size(1)});
}

Tensor transposed(const Tensor& matrix) {
  tensor::check_dim("transposed", "matrix", matrix, 2);
  return swap_inner(matrix, 1, matrix.size(0), matrix.size(1), {matrix.size(1), matrix.size(0)});
}

}  // namespace dcl::nn
