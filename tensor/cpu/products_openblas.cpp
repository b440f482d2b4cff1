#include "tensor/check.h"
#include "tensor/cpu/products.h"

#ifdef DCL_WITH_OPENBLAS

#include <limits>

#include <cblas.h>

namespace dcl::tensor::cpu {

namespace {

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

}  // namespace

template <class T>
void openblas_product(const Product<T>& p) {
  keep_openblas_on_calling_thread();
  const auto op_a = p.transpose_a ? CblasTrans : CblasNoTrans;
  const auto op_b = p.transpose_b ? CblasTrans : CblasNoTrans;
  const auto run = [&](auto* gemm_of_type) {
    gemm_of_type(CblasRowMajor, op_a, op_b, narrow(p.m), narrow(p.n), narrow(p.k), p.alpha, p.a,
                 narrow(p.lda), p.b, narrow(p.ldb), p.beta, p.c, narrow(p.ldc));
  };
  if constexpr (sizeof(T) == sizeof(float)) {
    run(&cblas_sgemm);
  } else {
    run(&cblas_dgemm);
  }
}

std::string openblas_core() { return openblas_get_corename(); }

#else

namespace dcl::tensor::cpu {

template <class T>
void openblas_product(const Product<T>& /*p*/) {
  fail("gemm: this build has no OpenBLAS");
}

std::string openblas_core() { return ""; }

#endif

template void openblas_product<float>(const Product<float>&);
template void openblas_product<double>(const Product<double>&);

}  // namespace dcl::tensor::cpu
