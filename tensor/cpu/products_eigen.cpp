#include <Eigen/Core>

#include "tensor/cpu/products.h"

namespace dcl::tensor::cpu {

template <class T>
void eigen_product(const Product<T>& p) {
  using Matrix = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  using Stride = Eigen::OuterStride<>;
  using Input = Eigen::Map<const Matrix, Eigen::Unaligned, Stride>;
  const Input a(p.a, p.transpose_a ? p.k : p.m, p.transpose_a ? p.m : p.k, Stride(p.lda));
  const Input b(p.b, p.transpose_b ? p.n : p.k, p.transpose_b ? p.k : p.n, Stride(p.ldb));
  Eigen::Map<Matrix, Eigen::Unaligned, Stride> c(p.c, p.m, p.n, Stride(p.ldc));
  if (p.beta == T(0)) {
    c.setZero();  // without reading it
  } else {
    c *= p.beta;
  }
  if (p.transpose_a && p.transpose_b) {
    c.noalias() += p.alpha * a.transpose() * b.transpose();
  } else if (p.transpose_a) {
    c.noalias() += p.alpha * a.transpose() * b;
  } else if (p.transpose_b) {
    c.noalias() += p.alpha * a * b.transpose();
  } else {
    c.noalias() += p.alpha * a * b;
  }
}

template void eigen_product<float>(const Product<float>&);
template void eigen_product<double>(const Product<double>&);

}  // namespace dcl::tensor::cpu
