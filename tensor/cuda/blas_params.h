// What both ways of tensor/cuda/blas.h ask of their arguments.
#pragma once

#include "tensor/cuda/blas.h"

namespace dcl::tensor::cuda {

/// `p` with its leading dimensions spelled out; throws for what no product can be.
inline GemmParams checked(const char* op, GemmParams p) {
  const auto leading = [op](const char* name, std::int64_t given, std::int64_t columns) {
    check(given == 0 || given >= columns, "{}: {} is {}, but a row has {} numbers", op, name, given, columns);
    return given == 0 ? columns : given;
  };
  check(p.m >= 0 && p.n >= 0 && p.k >= 0 && p.batch >= 0, "{}: a product of {}x{}x{}, {} times", op, p.m, p.k,
        p.n, p.batch);
  const bool narrow = p.input == DType::bfloat16 && (p.output == p.input || p.output == DType::float32);
  const bool plain = p.input == p.output && (p.input == DType::float32 || p.input == DType::float64);
  check(narrow || plain, "{}: no product of {} gives {}", op, name_of(p.input), name_of(p.output));
  p.lda = leading("lda", p.lda, p.transpose_a ? p.m : p.k);
  p.ldb = leading("ldb", p.ldb, p.transpose_b ? p.k : p.n);
  p.ldc = leading("ldc", p.ldc, p.n);
  return p;
}

}  // namespace dcl::tensor::cuda
