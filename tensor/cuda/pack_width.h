// How many numbers a thread reads at a time.
#pragma once

#include <initializer_list>

#include "tensor/cuda/kernel.h"

namespace dcl::tensor::cuda {

/// Calls f.template operator()<Width>() with as many numbers of type T as 16 bytes hold, where `channels` and
/// the addresses `read` divide by them, and with 1 elsewhere.
template <class T, class F>
void with_pack_width(std::int64_t channels, std::initializer_list<const void*> read, F f) {
  constexpr int kWidth = 16 / sizeof(T);
  bool packed = channels % kWidth == 0;
  for (const void* address : read) packed = packed && reinterpret_cast<std::uintptr_t>(address) % 16 == 0;
  if (packed)
    f.template operator()<kWidth>();
  else
    f.template operator()<1>();
}

}  // namespace dcl::tensor::cuda
