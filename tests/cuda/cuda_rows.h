// What the tests of the CUDA backend share. Each file is compiled twice: into test_cuda_emulated, where the
// kernels are C++ on the host and their tensors the CPU's, and into test_cuda, which wants a GPU.
#pragma once

#include <cmath>

#include "tensor/cuda/backend.h"
#include "tests/ops/op_table.h"

namespace dcl::test {

#ifdef DCL_WITH_CUDA
inline Tensor on_device(const Tensor& x) {
  return x.defined() ? x.to(tensor::Device{tensor::DeviceType::cuda, 0}) : x;
}
inline Tensor to_host(const Tensor& x) { return x.defined() ? x.to(tensor::Device{}) : x; }
/// Skips a test where there is no GPU.
#define DCL_NEEDS_DEVICE() \
  if (const std::string why = ::dcl::tensor::cuda::why_unusable(0); !why.empty()) GTEST_SKIP() << why
#else
inline Tensor on_device(const Tensor& x) { return x.defined() ? x.clone() : x; }
inline Tensor to_host(const Tensor& x) { return x; }
#define DCL_NEEDS_DEVICE() static_cast<void>(0)
#endif

/// Until the end of its scope new tensors are full of NaN.
class PoisonedMemory {
 public:
  PoisonedMemory() { tensor::poison_new_blocks(true); }
  ~PoisonedMemory() { tensor::poison_new_blocks(false); }
  PoisonedMemory(const PoisonedMemory&) = delete;
  PoisonedMemory& operator=(const PoisonedMemory&) = delete;
};

/// For results of `type` that are sums of so many products of numbers of about 1: rounding grows as the root
/// of their number. `scale` is the size of the sums, where it is another.
inline Tolerance cuda_tolerance(tensor::DType type, std::int64_t terms = 1, double scale = 1) {
  const double growth = std::sqrt(static_cast<double>(std::max<std::int64_t>(terms, 1)));
  switch (type) {
    case tensor::DType::bfloat16:
      return {1.6e-2, 1e-5 * growth * scale};
    case tensor::DType::float32:
      return {1.3e-6 * growth, 1e-6 * growth * scale};
    default:
      return {1e-13 * growth, 1e-14 * growth * scale};
  }
}

}  // namespace dcl::test
