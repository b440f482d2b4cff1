// From what a loader gives to what a model is given.
#pragma once

#include "data/loader.h"

namespace dcl::tensor::cuda {
class UploadAhead;  // tensor/cuda/upload_ahead.h
}

namespace dcl::data {

/// The batch with its views on `device`: copied there, or, where they are crops, finished there as `type`
/// (float32 or bfloat16), which a CUDA device can do only. The host does not wait for the device. With
/// `ahead` they travel beside what the device is doing, and what is said there of its copies holds for the
/// views.
Batch to_device(Batch batch, tensor::Device device, tensor::DType type = tensor::DType::float32,
                tensor::cuda::UploadAhead* ahead = nullptr);

}  // namespace dcl::data
