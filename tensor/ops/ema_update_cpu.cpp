#include <vector>

#include "tensor/cpu/sweep.h"
#include "tensor/ops/ema_update.h"

namespace dcl::tensor::cpu {

namespace {

template <class T>
void follow(std::int64_t n, double m, T* __restrict target, const T* __restrict source) {
  const T keep = static_cast<T>(m);
  const T take = static_cast<T>(1 - m);
  for (std::int64_t i = 0; i < n; ++i) target[i] = keep * target[i] + take * source[i];
}

}  // namespace

void ema_update(std::span<const EmaPair> pairs, double m) {
  check_ema_update(pairs, m);
  std::vector<std::int64_t> sizes;
  for (const auto& [target, source] : pairs) {
    sizes.push_back(target.numel());
    count_work({0, 2 * bytes_of({&target}) + bytes_of({&source})});
  }
  parallel_sweep(sizes, [&](std::size_t i, std::int64_t begin, std::int64_t end) {
    Tensor target = pairs[i].target;
    dispatch_float(target.dtype(), "ema_update", [&]<class T>() {
      follow(end - begin, m, target.data<T>() + begin, pairs[i].source.data<T>() + begin);
    });
  });
}

}  // namespace dcl::tensor::cpu
