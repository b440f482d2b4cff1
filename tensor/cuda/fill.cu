#include <algorithm>
#include <cstring>

#include "tensor/cuda/context.h"
namespace dcl::tensor::cuda {

namespace {

constexpr int kThreads = 256;
constexpr std::int64_t kMostBlocks = 132 * 16;  // enough for an H200; more elements are a loop

template <class Word>
__global__ void __launch_bounds__(kThreads) fill_kernel(Word* x, Word word, std::int64_t count) {
  const std::int64_t stride = std::int64_t{gridDim.x} * kThreads;
  for (std::int64_t i = std::int64_t{blockIdx.x} * kThreads + threadIdx.x; i < count; i += stride)
    x[i] = word;
}

// Words instead of numbers: only the bits matter.
template <class Word>
void fill_words(Tensor& x, const void* element) {
  Word word;
  std::memcpy(&word, element, sizeof(Word));
  const std::int64_t blocks = std::min((x.numel() + kThreads - 1) / kThreads, kMostBlocks);
  fill_kernel<<<static_cast<unsigned>(blocks), kThreads, 0, current_stream()>>>(static_cast<Word*>(x.raw()),
                                                                                word, x.numel());
  DCL_CUDA("fill", cudaGetLastError());
}

}  // namespace

void fill(Tensor& x, const void* element) {
  if (x.numel() == 0) return;
  const DeviceScope on(x.device());
  const auto* bytes = static_cast<const unsigned char*>(element);
  const std::int64_t size = size_of(x.dtype());
  if (std::all_of(bytes, bytes + size, [&](unsigned char byte) { return byte == bytes[0]; })) {
    DCL_CUDA("fill",
             cudaMemsetAsync(x.raw(), bytes[0], static_cast<std::size_t>(x.nbytes()), current_stream()));
  } else if (size == 2) {
    fill_words<std::uint16_t>(x, element);
  } else if (size == 4) {
    fill_words<std::uint32_t>(x, element);
  } else {
    fill_words<std::uint64_t>(x, element);
  }
}

cudaError_t kernel_status() {
  cudaFuncAttributes attributes{};
  return cudaFuncGetAttributes(&attributes, fill_kernel<std::uint32_t>);
}

}  // namespace dcl::tensor::cuda
