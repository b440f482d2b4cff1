#include "data/finish_batch.h"

#include <vector>

#include "data/finish_views.h"
#include "tensor/check.h"
#include "tensor/cuda/upload_ahead.h"
#include "tensor/profile.h"

namespace dcl::data {

namespace {

// `view` and `steps` are on the device.
Tensor finished(const Tensor& view, const Tensor& steps, tensor::Device device, tensor::DType type) {
  if (!steps.defined()) return view;
  if constexpr (tensor::has_cuda) {
    const tensor::DeviceScope on(device);
    return cuda::finish_views(view, steps, type);
  }
  tensor::fail_without_cuda("finish_views");
}

std::vector<Tensor> upload(const std::vector<Tensor>& host, tensor::Device device,
                           tensor::cuda::UploadAhead* ahead) {
  if constexpr (tensor::has_cuda)
    if (ahead != nullptr) return ahead->upload(host);
  std::vector<Tensor> there;
  for (const Tensor& tensor : host) there.push_back(tensor.defined() ? tensor.to(device) : tensor);
  return there;
}

}  // namespace

Batch to_device(Batch batch, tensor::Device device, tensor::DType type, tensor::cuda::UploadAhead* ahead) {
  const tensor::ProfileScope scope("finish views");
  check((!batch.query_steps.defined() && !batch.key_steps.defined()) || device.is_cuda(),
        "augmentation: crops can be finished on a CUDA device, not on {}", device.str());
  const auto there =
      upload({batch.query_view, batch.query_steps, batch.key_view, batch.key_steps}, device, ahead);
  batch.query_view = finished(there[0], there[1], device, type);
  batch.key_view = finished(there[2], there[3], device, type);
  batch.query_steps = batch.key_steps = {};
  return batch;
}

}  // namespace dcl::data
