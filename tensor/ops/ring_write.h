// ring_write: writes rows into a ring buffer, over the oldest ones, and moves the pointer on.
//
//   ring[(pointer + i) mod K] = rows[i],  i = 0 … N-1;   pointer = (pointer + N) mod K
//
// ring [K,C], pointer int64 [1] (a tensor, because it changes from step to step), rows [N,C] with N <= K; a
// batch may wrap around the end. MoCo, section 3.2: the queue of keys.
#pragma once

#include "tensor/tensor.h"

namespace dcl::tensor {

/// Throws where the shapes do not fit, the types differ, the ring has no rows, or N > K; the pointer is not
/// looked at.
void check_ring_write(const Tensor& ring, const Tensor& pointer, const Tensor& rows);

// Throw as check_ring_write does, and where the pointer is outside [0, K); on a GPU, where nobody waits for
// it, such a pointer is taken modulo K.
namespace cpu {
void ring_write(Tensor& ring, Tensor& pointer, const Tensor& rows);
}
namespace cuda {
void ring_write(Tensor& ring, Tensor& pointer, const Tensor& rows);
}

}  // namespace dcl::tensor
