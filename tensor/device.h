// Where a tensor lives.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "tensor/check.h"
#include "tensor/interrupt.h"
#include "tensor/profile.h"

namespace dcl::tensor {

enum class DeviceType : std::uint8_t { cpu, cuda };

struct Device {
  DeviceType type = DeviceType::cpu;
  int index = 0;

  bool is_cpu() const { return type == DeviceType::cpu; }
  bool is_cuda() const { return type == DeviceType::cuda; }
  std::string str() const { return is_cpu() ? "cpu" : fmt::format("cuda:{}", index); }
  bool operator==(const Device&) const = default;
};

/// True in a build with the CUDA backend. Without it the cuda:: functions are declared but never named by
/// evaluated code, so nothing has to be defined for them.
#ifdef DCL_WITH_CUDA
inline constexpr bool has_cuda = true;
#else
inline constexpr bool has_cuda = false;
#endif

/// True where the "GPU" is the host (tensor/cuda/emulated): for tests, and never chosen by itself.
#ifdef DCL_CUDA_EMULATED
inline constexpr bool cuda_is_emulated = true;
#else
inline constexpr bool cuda_is_emulated = false;
#endif

[[noreturn]] inline void fail_without_cuda(const char* op) {
  fail("{}: the tensor is on a CUDA device, but this build has no CUDA backend", op);
}

/// "cpu" or "cuda", the first GPU.
inline Device device_named(std::string_view name) {
  check(name == "cpu" || name == "cuda", "device '{}', expected cpu or cuda", name);
  return {name == "cpu" ? DeviceType::cpu : DeviceType::cuda};
}

/// One line that says why tensors cannot live and ops cannot run on `device` ("this build has no CUDA
/// backend", "no CUDA device: CUDA driver version is insufficient …", "this build is for sm_90a, the GPU … is
/// sm_80"); empty where they can.
std::string why_unusable(Device device);
/// Throws that line, after `what` (the flag that asked for the device) and a colon.
void check_device(const char* what, Device device);

/// What a reader of a log wants to know of a GPU: "cuda:0, NVIDIA H200, sm_90, 143771 MiB"; "cpu".
std::string describe(Device device);
/// Bytes that a GPU can still give. Throws for a CPU, which shares its memory with others.
std::int64_t free_bytes(Device device);

/// Waits until `device` has done all that it was asked (a CPU always has), and throws what went wrong there.
/// For clocks; copies to the host wait by themselves.
void synchronize(Device device);

/// While it lives, the calling thread's CUDA work goes to `device`; a CPU changes nothing.
class DeviceScope {
 public:
  explicit DeviceScope(Device device);
  ~DeviceScope();
  DeviceScope(const DeviceScope&) = delete;
  DeviceScope& operator=(const DeviceScope&) = delete;

 private:
  int before_ = -1;
};

/// While ops are recorded, the op that ends with its scope has been done by the device by then: so that its
/// event (tensor/profile.h) has its time.
class DoneWhenProfiled {
 public:
  explicit DoneWhenProfiled(Device device) : device_(device), profiled_(profiling()) {}
  ~DoneWhenProfiled();
  DoneWhenProfiled(const DoneWhenProfiled&) = delete;
  DoneWhenProfiled& operator=(const DoneWhenProfiled&) = delete;

 private:
  Device device_;
  bool profiled_;
};

}  // namespace dcl::tensor

/// The one place that decides between the backends: `DCL_ON_DEVICE(x.device(), conv2d(x, weight, p))` calls
/// dcl::tensor::cpu::conv2d or dcl::tensor::cuda::conv2d. In a build without CUDA the second name is only
/// declared, and a tensor that claims to be there gives a clear error. An op that is dispatched here can be
/// interrupted before it begins (tensor/interrupt.h), and is timed while somebody records (tensor/profile.h).
#define DCL_ON_DEVICE(device_, ...)                                \
  [&]() -> decltype(auto) {                                        \
    ::dcl::tensor::interruption_point();                           \
    const ::dcl::tensor::ProfileScope profile_scope(#__VA_ARGS__); \
    if constexpr (::dcl::tensor::has_cuda) {                       \
      if ((device_).is_cuda()) {                                   \
        const ::dcl::tensor::DeviceScope device_scope(device_);    \
        const ::dcl::tensor::DoneWhenProfiled done(device_);       \
        return ::dcl::tensor::cuda::__VA_ARGS__;                   \
      }                                                            \
    } else if ((device_).is_cuda()) {                              \
      ::dcl::tensor::fail_without_cuda(#__VA_ARGS__);              \
    }                                                              \
    return ::dcl::tensor::cpu::__VA_ARGS__;                        \
  }()
