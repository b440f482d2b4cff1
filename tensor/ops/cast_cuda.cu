#include "tensor/cuda/kernel.h"
#include "tensor/ops/cast.h"

namespace dcl::tensor::cuda {
namespace {

constexpr int kThreads = 128;
constexpr int kPack = 4;  // from or to float32 a line of 16 bytes

// By way of float32 from and to bfloat16, as on the CPU.
template <class To, class From>
__device__ To convert(From value) {
  return static_cast<To>(static_cast<Compute<To>>(widened(value)));
}

// y[i] = x[i]; the first packs · kPack of them so many at once.
template <class To, class From>
__global__ void convert_all(std::int64_t n, std::int64_t packs, const From* __restrict__ x,
                            To* __restrict__ y) {
  for (const std::int64_t i : grid_stride(packs)) {
    const auto from = load_pack<kPack>(x + i * kPack);
    Pack<To, kPack> to;
    for (int k = 0; k < kPack; ++k) to.values[k] = convert<To>(from.values[k]);
    store_pack(y + i * kPack, to);
  }
  for (const std::int64_t i : grid_stride(n - packs * kPack))
    y[packs * kPack + i] = convert<To>(x[packs * kPack + i]);
}

template <class T>
bool on_packs(const T* data) {
  return reinterpret_cast<std::uintptr_t>(data) % sizeof(Pack<T, kPack>) == 0;
}

}  // namespace

Tensor cast(const Tensor& x, DType dtype) {
  check_cast(x, dtype);
  if (x.dtype() == dtype) return x;
  Tensor y = Tensor::empty(x.shape(), {dtype, x.device()});
  dispatch_activation(x.dtype(), "cast", [&]<class From>() {
    dispatch_activation(dtype, "cast", [&]<class To>() {
      const std::int64_t n = x.numel();
      const From* from = x.data<From>();
      To* to = y.data<To>();
      const std::int64_t packs = on_packs(from) && on_packs(to) ? n / kPack : 0;
      launch("cast", convert_all<To, From>,
             {.grid = blocks_for(packs > 0 ? packs : n, kThreads), .block = dim3(kThreads)}, n, packs, from,
             to);
    });
  });
  return y;
}

}  // namespace dcl::tensor::cuda
