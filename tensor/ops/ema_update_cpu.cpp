#include <vector>

#include "tensor/cpu/sweep.h"
#include "tensor/ops/ema_update.h"
#include "tensor/ops/ema_update_kernels.h"

namespace dcl::tensor::cpu {

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
      follow_source<T>()(end - begin, m, target.data<T>() + begin, pairs[i].source.data<T>() + begin);
    });
  });
}

}  // namespace dcl::tensor::cpu
