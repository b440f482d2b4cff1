#include "tensor/device.h"

#include "tensor/cuda/backend.h"

namespace dcl::tensor {

std::string why_unusable(Device device) {
  if (device.is_cpu()) return "";
  if constexpr (has_cuda)
    return cuda::why_unusable(device.index);
  else
    return "this build has no CUDA backend";
}

void check_device(const char* what, Device device) {
  const std::string why = why_unusable(device);
  check(why.empty(), "{}: {}", what, why);
}

std::string describe(Device device) {
  if constexpr (has_cuda) {
    if (device.is_cuda()) return fmt::format("{}, {}", device.str(), cuda::describe(device.index));
  }
  return device.str();
}

std::int64_t free_bytes(Device device) {
  check(device.is_cuda(), "free_bytes: {}, expected a CUDA device", device.str());
  if constexpr (has_cuda) return cuda::free_bytes(device.index);
  fail_without_cuda("free_bytes");
}

void synchronize(Device device) {
  if constexpr (has_cuda) {
    if (device.is_cuda()) cuda::synchronize(device.index);
  }
}

DeviceScope::DeviceScope([[maybe_unused]] Device device) {
  if constexpr (has_cuda) {
    if (device.is_cuda()) before_ = cuda::use_device(device.index);
  }
}

DeviceScope::~DeviceScope() {
  if constexpr (has_cuda) {
    if (before_ >= 0) cuda::return_to_device(before_);
  }
}

DoneWhenProfiled::~DoneWhenProfiled() {
  if (!profiled_) return;
  try {
    synchronize(device_);
  } catch (const Error&) {  // the next call to the device says it again
  }
}

}  // namespace dcl::tensor
