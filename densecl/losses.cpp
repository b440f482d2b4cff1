#include "densecl/losses.h"

#include "tensor/ops/gather_rows.h"
#include "tensor/ops/nearest_rows.h"

namespace dcl::densecl {

autograd::InfoNce global_loss(const EncoderOutput& query, const Keys& keys, const Tensor& queue,
                              const tensor::InfoNceParams& params) {
  return autograd::info_nce(autograd::normalize(query.global), keys.global, queue, params);
}

DenseLoss dense_loss(const EncoderOutput& query, const Keys& keys, const Tensor& queue,
                     const tensor::InfoNceParams& params, bool want_margin) {
  const tensor::ProfilePart part(kDenseHalf);
  const Tensor& features = query.features.value();
  const auto device = features.device();
  const auto [match, margin] =
      DCL_ON_DEVICE(device, nearest_rows(features, keys.features, keys.global.size(0), want_margin));
  const Tensor positive = DCL_ON_DEVICE(device, gather_rows(keys.dense, match));
  const auto contrast = autograd::info_nce(autograd::normalize(query.dense), positive, queue, params);
  return {contrast.loss, match, margin};
}

Variable total_loss(const Variable& global, const Variable& dense, const Tensor& lambda) {
  const Variable one = Tensor::full({1}, 1.0, lambda.options());
  return autograd::add(autograd::mul(global, autograd::sub(one, lambda)), autograd::mul(dense, lambda));
}

}  // namespace dcl::densecl
