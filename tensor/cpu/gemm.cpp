#include "tensor/cpu/gemm.h"

#include <algorithm>
#include <limits>

#include "tensor/check.h"
#include "tensor/cpu/threads.h"

#ifdef DCL_WITH_OPENBLAS
#include <cblas.h>
#else
#include <Eigen/Core>
#endif

namespace dcl::tensor::cpu {

// The argument list is BLAS's own, which every reader knows.
// NOLINTBEGIN(readability-function-size)

namespace {

// c = beta · c, without reading c when beta is 0.
template <class T>
void scale(std::int64_t m, std::int64_t n, T beta, T* c, std::int64_t ldc) {
  for (std::int64_t i = 0; i < m; ++i) {
    T* row = c + i * ldc;
    for (std::int64_t j = 0; j < n; ++j) row[j] = beta == T(0) ? T(0) : beta * row[j];
  }
}

#ifdef DCL_WITH_OPENBLAS

blasint narrow(std::int64_t size) {
  check(size <= std::numeric_limits<blasint>::max(), "gemm: size {} does not fit OpenBLAS's index type",
        size);
  return static_cast<blasint>(size);
}

// Threads are ours (threads.h); OpenBLAS's own would fight with them.
void keep_openblas_on_calling_thread() {
  static const bool done = [] {
    openblas_set_num_threads(1);
    return true;
  }();
  static_cast<void>(done);
}

template <class T>
void product(bool transpose_a, bool transpose_b, std::int64_t m, std::int64_t n, std::int64_t k, T alpha,
             const T* a, std::int64_t lda, const T* b, std::int64_t ldb, T beta, T* c, std::int64_t ldc) {
  keep_openblas_on_calling_thread();
  const auto op_a = transpose_a ? CblasTrans : CblasNoTrans;
  const auto op_b = transpose_b ? CblasTrans : CblasNoTrans;
  const auto run = [&](auto* gemm_of_type) {
    gemm_of_type(CblasRowMajor, op_a, op_b, narrow(m), narrow(n), narrow(k), alpha, a, narrow(lda), b,
                 narrow(ldb), beta, c, narrow(ldc));
  };
  if constexpr (sizeof(T) == sizeof(float)) {
    run(&cblas_sgemm);
  } else {
    run(&cblas_dgemm);
  }
}

#else

template <class T>
void product(bool transpose_a, bool transpose_b, std::int64_t m, std::int64_t n, std::int64_t k, T alpha,
             const T* a, std::int64_t lda, const T* b, std::int64_t ldb, T beta, T* c, std::int64_t ldc) {
  using Matrix = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  using Stride = Eigen::OuterStride<>;
  using Input = Eigen::Map<const Matrix, Eigen::Unaligned, Stride>;
  const Input stored_a(a, transpose_a ? k : m, transpose_a ? m : k, Stride(lda));
  const Input stored_b(b, transpose_b ? n : k, transpose_b ? k : n, Stride(ldb));
  Eigen::Map<Matrix, Eigen::Unaligned, Stride> out(c, m, n, Stride(ldc));
  scale(m, n, beta, c, ldc);
  if (transpose_a && transpose_b) {
    out.noalias() += alpha * stored_a.transpose() * stored_b.transpose();
  } else if (transpose_a) {
    out.noalias() += alpha * stored_a.transpose() * stored_b;
  } else if (transpose_b) {
    out.noalias() += alpha * stored_a * stored_b.transpose();
  } else {
    out.noalias() += alpha * stored_a * stored_b;
  }
}

#endif

// Work below this many multiplications is not worth waking another thread.
constexpr std::int64_t kMinProducts = 1 << 16;
// Cuts fall on multiples of this, so that threads do not share cache lines of c or split a kernel's panel.
constexpr std::int64_t kPanel = 32;

}  // namespace

template <class T>
void gemm(bool transpose_a, bool transpose_b, std::int64_t m, std::int64_t n, std::int64_t k, T alpha,
          const T* a, std::int64_t lda, const T* b, std::int64_t ldb, T beta, T* c, std::int64_t ldc) {
  if (m <= 0 || n <= 0) return;
  if (k <= 0) return scale(m, n, beta, c, ldc);
  product(transpose_a, transpose_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}

template <class T>
void parallel_gemm(bool transpose_a, bool transpose_b, std::int64_t m, std::int64_t n, std::int64_t k,
                   T alpha, const T* a, std::int64_t lda, const T* b, std::int64_t ldb, T beta, T* c,
                   std::int64_t ldc) {
  const bool by_rows = m >= n;
  const std::int64_t length = by_rows ? m : n;
  const std::int64_t panels = (length + kPanel - 1) / kPanel;
  const std::int64_t per_panel = std::max<std::int64_t>(1, kPanel * k * (by_rows ? n : m));
  parallel_for(panels, kMinProducts / per_panel + 1, [&](std::int64_t first, std::int64_t last) {
    const std::int64_t begin = first * kPanel;
    const std::int64_t count = std::min(last * kPanel, length) - begin;
    if (by_rows) {
      gemm(transpose_a, transpose_b, count, n, k, alpha, a + begin * (transpose_a ? 1 : lda), lda, b, ldb,
           beta, c + begin * ldc, ldc);
    } else {
      gemm(transpose_a, transpose_b, m, count, k, alpha, a, lda, b + begin * (transpose_b ? ldb : 1), ldb,
           beta, c + begin, ldc);
    }
  });
}

std::string gemm_library() {
#ifdef DCL_WITH_OPENBLAS
  return std::string("OpenBLAS ") + openblas_get_corename();
#else
  return "Eigen";
#endif
}

template void gemm<float>(bool, bool, std::int64_t, std::int64_t, std::int64_t, float, const float*,
                          std::int64_t, const float*, std::int64_t, float, float*, std::int64_t);
template void parallel_gemm<float>(bool, bool, std::int64_t, std::int64_t, std::int64_t, float, const float*,
                                   std::int64_t, const float*, std::int64_t, float, float*, std::int64_t);
template void gemm<double>(bool, bool, std::int64_t, std::int64_t, std::int64_t, double, const double*,
                           std::int64_t, const double*, std::int64_t, double, double*, std::int64_t);
template void parallel_gemm<double>(bool, bool, std::int64_t, std::int64_t, std::int64_t, double,
                                    const double*, std::int64_t, const double*, std::int64_t, double, double*,
                                    std::int64_t);

// NOLINTEND(readability-function-size)

}  // namespace dcl::tensor::cpu
