#include "tensor/ops/ema_update.h"

namespace dcl::tensor {

void check_ema_update(std::span<const EmaPair> pairs, double m) {
  check(m >= 0 && m <= 1, "ema_update: m is {}, expected 0 to 1", m);
  for (const auto& [target, source] : pairs) {
    check(target.defined(), "ema_update: target is undefined");
    check_dtype("ema_update", "source", source, target.dtype());
    check_shape("ema_update", "source", source, target.shape());
    dispatch_float(target.dtype(), "ema_update", []<class T>() {});
  }
}

}  // namespace dcl::tensor
