// Who may touch the emulated device's memory.
#pragma once

namespace dcl::tensor::cuda::emulated {

/// Memory of the emulated device can be read and written while one lives; else the process ends by a fault,
/// which finds host code that takes a device's pointer for its own.
class DeviceAccess {
 public:
  DeviceAccess();
  ~DeviceAccess();
  DeviceAccess(const DeviceAccess&) = delete;
  DeviceAccess& operator=(const DeviceAccess&) = delete;
};

}  // namespace dcl::tensor::cuda::emulated
