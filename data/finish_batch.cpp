#include "data/finish_batch.h"

#include <utility>

#include "data/finish_views.h"
#include "tensor/check.h"
#include "tensor/profile.h"

namespace dcl::data {

namespace {

Tensor on_device(const Tensor& view, const Tensor& steps, tensor::Device device, tensor::DType type) {
  if (!steps.defined()) return view.to(device);
  check(device.is_cuda(), "augmentation: crops can be finished on a CUDA device, not on {}", device.str());
  if constexpr (tensor::has_cuda) {
    const tensor::DeviceScope on(device);
    return cuda::finish_views(view.to(device), steps.to(device), type);
  }
  tensor::fail_without_cuda("finish_views");
}

}  // namespace

Batch to_device(Batch batch, tensor::Device device, tensor::DType type) {
  const tensor::ProfileScope scope("finish views");
  batch.query_view = on_device(batch.query_view, std::exchange(batch.query_steps, {}), device, type);
  batch.key_view = on_device(batch.key_view, std::exchange(batch.key_steps, {}), device, type);
  return batch;
}

}  // namespace dcl::data
