#include <cstddef>

#include "tensor/cuda/handles.h"
#include "tensor/cuda/pinned.h"
#include "tensor/ops/cast.h"

namespace dcl::tensor::cuda {

namespace {

// After what `from`'s device was asked before, before what it is asked next.
void copy_between_devices(Tensor& to, const Tensor& from) {
  Event copied;  // made on to's device, which is the current one
  const auto on_source = [&](const auto& then) {
    const DeviceScope on(from.device());
    then(current_stream());
  };
  on_source([&](cudaStream_t source) {
    Event written;
    written.record(source);
    const DeviceScope back(to.device());
    written.hold(current_stream());
  });
  DCL_CUDA("copy_from", cudaMemcpyPeerAsync(to.raw(), to.device().index, from.raw(), from.device().index,
                                            static_cast<std::size_t>(to.nbytes()), current_stream()));
  copied.record(current_stream());
  on_source([&](cudaStream_t source) { copied.hold(source); });
}

bool overlap(const Tensor& a, const Tensor& b) {
  const auto* a_begin = static_cast<const std::byte*>(a.raw());
  const auto* b_begin = static_cast<const std::byte*>(b.raw());
  return a.shares_with(b) && a_begin < b_begin + b.nbytes() && b_begin < a_begin + a.nbytes();
}

void copy_within_device(Tensor& to, const Tensor& from) {
  if (to.raw() == from.raw()) return;
  if (overlap(to, from)) return copy_within_device(to, from.clone());
  DCL_CUDA("copy_from", cudaMemcpyAsync(to.raw(), from.raw(), static_cast<std::size_t>(to.nbytes()),
                                        cudaMemcpyDeviceToDevice, current_stream()));
}

// Of one type; at least one of the two is on a device.
void copy_bytes(Tensor& to, const Tensor& from) {
  const Device device = to.device().is_cuda() ? to.device() : from.device();
  const DeviceScope on(device);
  if (from.device().is_cpu() || to.device().is_cpu()) check_not_captured("copy_from");
  if (from.device().is_cpu()) {
    staging(device.index).to_device(to.raw(), from.raw(), to.nbytes(), current_stream());
  } else if (to.device().is_cpu()) {
    staging(device.index).to_host(to.raw(), from.raw(), to.nbytes(), current_stream());
  } else if (to.device() == from.device()) {
    copy_within_device(to, from);
  } else {
    copy_between_devices(to, from);
  }
}

// The numbers of `from` in another type. Integers are counters and indices, few and rarely converted: by the
// host.
Tensor converted(const Tensor& from, DType dtype, Device wanted) {
  const bool floats = is_floating(from.dtype()) && is_floating(dtype);
  if (from.device().is_cpu() || wanted.is_cpu() || !floats) return from.to(Device{}).to(dtype);
  const DeviceScope on(from.device());
  return cast(from, dtype);
}

}  // namespace

void poison(void* data, std::int64_t bytes, int device) {
  const DeviceScope on({DeviceType::cuda, device});
  DCL_CUDA("poison", cudaMemsetAsync(data, 0xFF, static_cast<std::size_t>(bytes), current_stream()));
}

void copy(Tensor& to, const Tensor& from) {
  if (to.numel() == 0) return;
  if (to.dtype() == from.dtype()) return copy_bytes(to, from);
  to.copy_from(converted(from, to.dtype(), to.device()));
}

}  // namespace dcl::tensor::cuda
