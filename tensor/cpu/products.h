// Who may compute gemm's product (gemm.h): two libraries, and the microkernel of the convolutions. Each on
// the calling thread, and shared out over threads.
#pragma once

#include <cstdint>
#include <string>

#include "tensor/cpu/features.h"

namespace dcl::tensor::cpu {

/// c = alpha · op(a) · op(b) + beta · c, all row-major with the sizes and distances of gemm.h.
template <class T>
struct Product {
  bool transpose_a, transpose_b;
  std::int64_t m, n, k;  // all positive
  T alpha;
  const T* a;
  std::int64_t lda;
  const T* b;
  std::int64_t ldb;
  T beta;
  T* c;
  std::int64_t ldc;
};

/// Compiled for what every processor of the architecture has.
template <class T>
void eigen_product(const Product<T>& p);

/// Picks its kernels by the processor when the program starts (or takes those that the environment variable
/// OPENBLAS_CORETYPE names). Not to be called where openblas_core() is empty.
template <class T>
void openblas_product(const Product<T>& p);

/// By the microkernel (microkernel.h) for this processor. Both operands are packed, or read where they lie,
/// anew in each call: that pays for products of some size only.
template <class T>
void packed_product(const Product<T>& p);

/// One of the three above.
template <class T>
using MultiplyProduct = void (*)(const Product<T>& product);

/// The product cut into ranges of rows or of columns of c, whichever there are more of, each by `multiply` on
/// a thread.
template <class T>
void share_product(const Product<T>& product, MultiplyProduct<T> multiply);

/// Whether kernels of OpenBLAS's `core` (openblas_core(), "" stands for Eigen) use less of a processor of
/// `level` than its vectors: then packed_product is the faster one.
bool library_falls_short(const std::string& core, CpuLevel level);

/// OpenBLAS's name for the kernels it has picked, "Cooperlake"; empty in a build without it.
std::string openblas_core();

}  // namespace dcl::tensor::cpu
