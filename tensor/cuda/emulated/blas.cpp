#include "tensor/cuda/blas.h"

#include <vector>

#include "tensor/cpu/gemm.h"
#include "tensor/cuda/blas_params.h"
#include "tensor/cuda/emulated/stream.h"

namespace dcl::tensor::cuda {
namespace {

// A stored matrix in the type that sums are made in.
template <class T, class In>
std::vector<T> widened_copy(const In* from, std::int64_t rows, std::int64_t columns, std::int64_t ld) {
  std::vector<T> to(static_cast<std::size_t>(rows * columns));
  for (std::int64_t r = 0; r < rows; ++r)
    for (std::int64_t c = 0; c < columns; ++c)
      to[static_cast<std::size_t>(r * columns + c)] = static_cast<T>(from[r * ld + c]);
  return to;
}

template <class T, class In, class Out>
void multiply(const GemmParams& p, const In* a, const In* b, Out* c, const Out* bias) {
  for (std::int64_t i = 0; i < p.batch; ++i, a += p.stride_a, b += p.stride_b, c += p.stride_c) {
    const std::int64_t a_columns = p.transpose_a ? p.m : p.k;
    const std::int64_t b_columns = p.transpose_b ? p.k : p.n;
    const auto left = widened_copy<T>(a, p.transpose_a ? p.k : p.m, a_columns, p.lda);
    const auto right = widened_copy<T>(b, p.transpose_b ? p.n : p.k, b_columns, p.ldb);
    std::vector<T> sums(static_cast<std::size_t>(p.m * p.n));
    cpu::gemm(p.transpose_a, p.transpose_b, p.m, p.n, p.k, static_cast<T>(p.alpha), left.data(), a_columns,
              right.data(), b_columns, T(0), sums.data(), p.n);
    for (std::int64_t row = 0; row < p.m; ++row)
      for (std::int64_t column = 0; column < p.n; ++column) {
        T sum = sums[static_cast<std::size_t>(row * p.n + column)];
        Out& to = c[row * p.ldc + column];
        if (p.beta != 0) sum += static_cast<T>(p.beta) * static_cast<T>(to);
        if (bias != nullptr) sum += static_cast<T>(bias[column]);
        to = static_cast<Out>(sum);
      }
  }
}

}  // namespace

void gemm(const char* op, const GemmParams& params, const void* a, const void* b, void* c, const void* bias) {
  const GemmParams p = checked(op, params);
  if (p.m == 0 || p.n == 0 || p.batch == 0) return;
  const auto run = [&]<class T, class In, class Out>() {
    emulated::submit([=] {
      multiply<T>(p, static_cast<const In*>(a), static_cast<const In*>(b), static_cast<Out*>(c),
                  static_cast<const Out*>(bias));
    });
  };
  if (p.input == DType::float64)
    run.template operator()<double, double, double>();
  else if (p.input == DType::float32)
    run.template operator()<float, float, float>();
  else if (p.output == DType::float32)
    run.template operator()<float, bfloat16, float>();
  else
    run.template operator()<float, bfloat16, bfloat16>();
}

}  // namespace dcl::tensor::cuda
