// The second half of augmentation on a GPU: change_view and normalise_view (data/augment.h), with the same
// bytes.
#pragma once

#include "tensor/tensor.h"

namespace dcl::data::cuda {

using tensor::Tensor;

/// crops uint8 [N,H,W,3] and steps uint8 [N,sizeof(ViewSteps)] (data/view_steps.h), on the device: colour
/// jitter, grayscale, blur, solarize, flip and normalisation of each picture in one kernel. Returns
/// [N,H,W,3] of `type`: float32 or bfloat16. Throws Error for other types and shapes. What is in `steps` is
/// not checked: jitters is at most 4, the blur's radius at most kMostRadius.
Tensor finish_views(const Tensor& crops, const Tensor& steps, tensor::DType type);

}  // namespace dcl::data::cuda
