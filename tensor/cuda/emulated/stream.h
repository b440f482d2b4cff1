// The emulated device's one stream: work is done at once, or kept while a graph is captured.
#pragma once

#include <functional>

namespace dcl::tensor::cuda::emulated {

/// Has the device do `work`, now or at each replay of the graph that is being captured. Nothing else may read
/// or write its memory: outside of this the process ends by a fault, which finds host code that takes a
/// device's pointer for its own.
void submit(std::function<void()> work);

/// Throws, naming the op, while a graph is captured: for what waits for the device.
void check_may_wait(const char* op);

}  // namespace dcl::tensor::cuda::emulated
