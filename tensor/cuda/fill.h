// What the smallest kernel tells of a device.
#pragma once

#include <cuda_runtime_api.h>

namespace dcl::tensor::cuda {

/// Whether kernels of this build can be loaded on the current device: cudaErrorNoKernelImageForDevice where
/// it is of another architecture.
cudaError_t kernel_status();

}  // namespace dcl::tensor::cuda
