// From what a loader gives to what a model is given.
#pragma once

#include "data/loader.h"

namespace dcl::data {

/// The batch with its views on `device`: copied there, or, where they are crops, finished there as `type`
/// (float32 or bfloat16), which a CUDA device can do only. The host does not wait for the device.
Batch to_device(Batch batch, tensor::Device device, tensor::DType type = tensor::DType::float32);

}  // namespace dcl::data
