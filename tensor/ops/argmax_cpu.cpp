#include <cmath>

#include "tensor/cpu/threads.h"
#include "tensor/ops/argmax.h"
#include "tensor/ops/argmax_checks.h"

namespace dcl::tensor::cpu {

namespace {

constexpr std::int64_t kGrain = 32768;

template <class T>
std::int64_t first_maximum(const T* x, std::int64_t n) {
  std::int64_t best = 0;
  for (std::int64_t i = 0; i < n; ++i) {
    if (std::isnan(x[i])) return i;
    if (x[i] > x[best]) best = i;
  }
  return best;
}

}  // namespace

Tensor argmax(const Tensor& x) {
  Tensor index = Tensor::empty(argmax_shape(x), {DType::int64, x.device()});
  const std::int64_t columns = x.size(-1);
  dispatch_float(x.dtype(), "argmax", [&]<class T>() {
    const T* x_data = x.data<T>();
    std::int64_t* index_data = index.data<std::int64_t>();
    parallel_for(index.numel(), kGrain / columns + 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t row = begin; row < end; ++row)
        index_data[row] = first_maximum(x_data + row * columns, columns);
    });
  });
  return index;
}

}  // namespace dcl::tensor::cpu
