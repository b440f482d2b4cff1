// Devices, the stream that work goes to, and checked calls. Read by device code only: it brings CUDA's
// headers.
#pragma once

#include <cstdint>
#include <string>

#include <cuda_runtime_api.h>

#include "tensor/cuda/backend.h"
#include "tensor/device.h"

namespace dcl::tensor::cuda {

/// Throws "OP: cudaErrorName: what the runtime says".
[[noreturn]] void fail_call(const char* op, cudaError_t status);
inline void check_call(const char* op, cudaError_t status) {
  if (status != cudaSuccess) [[unlikely]]
    fail_call(op, status);
}

/// GPUs that this process sees; 0 without a driver.
int device_count();
/// The device that the calling thread works on (DeviceScope in tensor/device.h changes it).
int current_device();

struct DeviceProperties {
  std::string name;
  int major = 0;  // sm_90: 9 and 0
  int minor = 0;
  int multiprocessors = 0;
  std::int64_t l2_bytes = 0;
  std::int64_t shared_bytes_per_block = 0;  // that a kernel may opt in to
  std::int64_t total_bytes = 0;
};
/// Asked once a device. Throws Error when there is no such device.
const DeviceProperties& device_properties(int device);

/// Where every op launches and every block of memory is used: one stream a device, not the legacy default
/// one, shared by all threads; or the one that a StreamGuard of this thread has put in its place.
cudaStream_t current_stream();

/// Sends this thread's work on the current device to `stream` while it lives. The allocator hands a block out
/// again as soon as it is given back, in the order of the device's one stream: blocks that another stream
/// uses have to be held until the one stream waits for an event of the other.
class StreamGuard {
 public:
  explicit StreamGuard(cudaStream_t stream);
  ~StreamGuard();
  StreamGuard(const StreamGuard&) = delete;
  StreamGuard& operator=(const StreamGuard&) = delete;

 private:
  cudaStream_t stream_before_;
  int device_before_;
};

/// Throws, naming the op, while current_stream() is captured: for what waits or reads the host's memory.
void check_not_captured(const char* op);

/// Waits for the current device.
void synchronize();

/// Whether kernels of this build can be loaded on the current device: cudaErrorNoKernelImageForDevice where
/// it is of another architecture.
cudaError_t kernel_status();

}  // namespace dcl::tensor::cuda

/// `DCL_CUDA("relu", cudaMemsetAsync(…));`
#define DCL_CUDA(op_, call_) ::dcl::tensor::cuda::check_call(op_, call_)
