#include "tensor/cpu/threads.h"
#include "tensor/cpu/tiles/split.h"
#include "tensor/ops/cast.h"

namespace dcl::tensor::cpu {

Tensor cast(const Tensor& x, DType dtype) {
  check_cast(x, dtype);
  if (x.dtype() == dtype) return x;
  if (x.dtype() == DType::float64 || dtype == DType::float64) return x.to(dtype);
  Tensor y = Tensor::empty(x.shape(), {dtype, x.device()});
  count_work({0, bytes_of({&x, &y})});
  constexpr std::int64_t kGrain = 32768;  // elements a thread is worth waking for
  parallel_for(x.numel(), kGrain, [&](std::int64_t begin, std::int64_t end) {
    if (dtype == DType::bfloat16)
      round_to_bfloat16(x.data<float>() + begin, end - begin, y.data<bfloat16>() + begin);
    else
      widen_bfloat16(x.data<bfloat16>() + begin, end - begin, y.data<float>() + begin);
  });
  return y;
}

}  // namespace dcl::tensor::cpu
