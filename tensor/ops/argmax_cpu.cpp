#include <cmath>

#include "tensor/cpu/threads.h"
#include "tensor/ops/argmax.h"

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
  check(x.defined(), "argmax: x is undefined");
  check(x.dim() >= 1 && x.size(-1) > 0, "argmax: x is {}, expected rows of at least one element",
        x.shape().str());
  const std::int64_t columns = x.size(-1);
  std::vector<std::int64_t> sizes = x.shape().sizes();
  sizes.pop_back();
  Tensor index = Tensor::empty(Shape(std::move(sizes)), {DType::int64, x.device()});
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
