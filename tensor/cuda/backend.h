// What the library asks of the CUDA backend beside the ops. Declared in every build, defined in builds with
// CUDA: callers stand behind `if constexpr (has_cuda)`. No CUDA headers here.
#pragma once

#include <cstdint>
#include <string>

#include "tensor/storage.h"
#include "tensor/tensor.h"

namespace dcl::tensor::cuda {

/// As tensor::why_unusable (tensor/device.h).
std::string why_unusable(int device);

/// Makes `device` the one that the calling thread works on; returns the one before.
int use_device(int device);
/// The same where nothing may be thrown.
void return_to_device(int device) noexcept;
/// Waits until the device has done all that it was asked, and throws what went wrong there.
void synchronize(int device);

/// "NVIDIA H200, sm_90, 143771 MiB".
std::string describe(int device);
/// Bytes that can still be had: the GPU's free ones and those that the allocator keeps for reuse.
std::int64_t free_bytes(int device);

/// Throws where why_unusable() has something to say.
Allocator& allocator(int device);

/// Fills memory of `device` with bits 1.
void poison(void* data, std::int64_t bytes, int device);
/// Every element of x, which is on a CUDA device, becomes the one that `element` points to (in host memory,
/// of x's type).
void fill(Tensor& x, const void* element);
/// As Tensor::copy_from, where at least one of the two, which have the same shape, is on a CUDA device. Host
/// memory may be changed as soon as this returns; only a copy to the host waits for the device.
void copy(Tensor& to, const Tensor& from);

}  // namespace dcl::tensor::cuda
