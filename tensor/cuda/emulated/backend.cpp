// The backend without a GPU.
#include "tensor/cuda/backend.h"

#include <array>
#include <cstring>

#include "tensor/check.h"
#include "tensor/cuda/emulated/memory.h"
#include "tensor/cuda/emulated/stream.h"

namespace dcl::tensor::cuda {

std::string why_unusable(int device) {
  return device == 0 ? "" : fmt::format("no CUDA device {}: the emulation has one", device);
}
std::string describe(int /*device*/) { return "emulated by the host"; }
std::int64_t free_bytes(int /*device*/) { return emulated::Memory::kBytes - emulated::memory().stats().live; }
int use_device(int /*device*/) { return 0; }
void return_to_device(int /*device*/) noexcept {}
void synchronize(int /*device*/) { emulated::check_may_wait("synchronize"); }
Allocator& allocator(int /*device*/) { return emulated::memory(); }

void poison(void* data, std::int64_t bytes, int /*device*/) {
  emulated::submit([=] { std::memset(data, 0xFF, static_cast<std::size_t>(bytes)); });
}

void fill(Tensor& x, const void* element) {
  std::array<std::byte, sizeof(double)> value{};
  const auto size = static_cast<std::size_t>(size_of(x.dtype()));
  std::memcpy(value.data(), element, size);
  emulated::submit([to = static_cast<std::byte*>(x.raw()), n = x.numel(), size, value] {
    for (std::int64_t i = 0; i < n; ++i)
      std::memcpy(to + static_cast<std::size_t>(i) * size, value.data(), size);
  });
}

void copy(Tensor& to, const Tensor& from) {
  if (to.dtype() != from.dtype()) {
    to.copy_from(from.to(Device{}).to(to.dtype()));
    return;
  }
  if (to.device().is_cpu() || from.device().is_cpu()) emulated::check_may_wait("copy_from");
  emulated::submit([to = to.raw(), from = from.raw(), bytes = static_cast<std::size_t>(to.nbytes())] {
    if (bytes > 0) std::memmove(to, from, bytes);
  });
}

}  // namespace dcl::tensor::cuda
