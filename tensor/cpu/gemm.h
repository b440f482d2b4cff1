// Matrix products on plain row-major arrays, the work horse of convolutions, linear layers and matmul:
//
//   c = alpha · op(a) · op(b) + beta · c        op(a) [m,k], op(b) [k,n], c [m,n]
//
// By OpenBLAS where the build has it and cpu_level() allows the kernels that it picked, else by Eigen. Where
// those are for a lesser processor than this one (OpenBLAS does not know it, or OPENBLAS_CORETYPE names
// another; or it is Eigen), products of 32 rows, columns and terms and more go by the microkernel of the
// convolutions, if fast_paths().
#pragma once

#include <cstdint>
#include <string>

namespace dcl::tensor::cpu {

/// On the calling thread; may be called from several threads at once. lda, ldb and ldc are the distances
/// between rows in memory: a is stored [m,k] (lda >= k), or [k,m] (lda >= m) when `transpose_a`; b likewise.
/// With beta = 0 c is only written, so it may be uninitialised. T is float or double.
template <class T>
void gemm(bool transpose_a, bool transpose_b, std::int64_t m, std::int64_t n, std::int64_t k, T alpha,
          const T* a, std::int64_t lda, const T* b, std::int64_t ldb, T beta, T* c, std::int64_t ldc);

/// The same product shared out over threads, by rows or by columns of c, whichever there are more of. The
/// cuts depend on the sizes and num_threads() only.
template <class T>
void parallel_gemm(bool transpose_a, bool transpose_b, std::int64_t m, std::int64_t n, std::int64_t k,
                   T alpha, const T* a, std::int64_t lda, const T* b, std::int64_t ldb, T beta, T* c,
                   std::int64_t ldc);

/// Who multiplies: "OpenBLAS Cooperlake" (its name for the kernels it has picked) or "Eigen"; and, "packed
/// tiles, small ones OpenBLAS Haswell", who else.
std::string gemm_library();

}  // namespace dcl::tensor::cpu
