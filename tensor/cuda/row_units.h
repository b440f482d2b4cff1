// Rows copied in the largest units that they and their addresses are multiples of. Included by files of
// kernels.
#pragma once

#include <initializer_list>
#include <utility>

#include "tensor/cuda/kernel.h"
#include "tensor/tensor.h"

namespace dcl::tensor::cuda {

/// A line that a thread moves at once.
using Line = Pack<std::uint32_t, 4>;

/// Calls `f.template operator()<Unit>()` with Line where `row_bytes` and the addresses of all tensors are
/// multiples of one, otherwise with the type of their elements.
template <class F>
void with_row_unit(const char* op, std::int64_t row_bytes, std::initializer_list<const Tensor*> tensors,
                   F&& f) {
  auto bits = static_cast<std::uintptr_t>(row_bytes);
  for (const Tensor* t : tensors) bits |= reinterpret_cast<std::uintptr_t>(t->raw());
  if (bits % sizeof(Line) == 0)
    f.template operator()<Line>();
  else
    dispatch_any((*tensors.begin())->dtype(), op, std::forward<F>(f));
}

/// A unit whose bits are all `bit`.
template <class Unit>
__device__ Unit unit_of(bool bit) {
  Unit unit;
  auto* bytes = reinterpret_cast<unsigned char*>(&unit);
  for (std::size_t b = 0; b < sizeof(Unit); ++b) bytes[b] = bit ? 0xFF : 0;
  return unit;
}

template <class Unit>
std::int64_t units_of(const Tensor& t) {
  return t.nbytes() / static_cast<std::int64_t>(sizeof(Unit));
}

}  // namespace dcl::tensor::cuda
