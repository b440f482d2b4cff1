// Products of row-major matrices on the device, by cuBLASLt; in the emulation by the CPU's product.
//
//   C = alpha · op(A) · op(B) + beta · C + bias        op(A) [m,k], op(B) [k,n], C [m,n], bias [n]
//
// and the same for every entry of a batch. A, B and C are addresses on the device; a row begins `ld…` numbers
// after the one before it, a matrix of the batch `stride_…` numbers after the one before it.
#pragma once

#include <cstdint>

#include "tensor/dtype.h"

namespace dcl::tensor::cuda {

/// Types: input float32 with output float32 (never TF32), float64 with float64, bfloat16 with float32 or
/// bfloat16 (products summed in float32, rounded once).
struct GemmParams {
  std::int64_t m = 0;
  std::int64_t n = 0;
  std::int64_t k = 0;
  bool transpose_a = false;  // A is stored [k,m]
  bool transpose_b = false;  // B is stored [n,k]
  std::int64_t lda = 0;      // 0: rows without gaps, here and below
  std::int64_t ldb = 0;
  std::int64_t ldc = 0;
  std::int64_t batch = 1;
  std::int64_t stride_a = 0;  // 0: the same matrix for the whole batch, for A and B only
  std::int64_t stride_b = 0;
  std::int64_t stride_c = 0;
  DType input = DType::float32;   // of A and B
  DType output = DType::float32;  // of C and bias
  double alpha = 1;
  double beta = 0;  // 0: C is only written
};

/// Runs on current_stream(); C does not overlap the others. `bias` may be null. Sizes of 0 are allowed: with
/// k = 0 C becomes beta · C + bias. Throws Error, naming `op`, for types or leading dimensions that cannot
/// be, and for what the library refuses. Products of one device share their workspace: on one stream at a
/// time.
void gemm(const char* op, const GemmParams& params, const void* a, const void* b, void* c,
          const void* bias = nullptr);

}  // namespace dcl::tensor::cuda
