// Memory on a GPU: allocator({DeviceType::cuda, i}) of tensor/storage.h. Blocks are used in the order of the
// device's one stream, so one that was given back is handed out again at once, without events.
// DCL_ALLOCATOR=plain asks CUDA for each block, so that compute-sanitizer sees what is read too late.
#pragma once

#include "tensor/storage.h"

namespace dcl::tensor::cuda {

/// For tests: from now on blocks are handed out filled with bytes 0xFF (NaN in floats, -1 in integers), or as
/// they are.
void poison_fresh_blocks(bool on);

}  // namespace dcl::tensor::cuda
