// A step as one CUDA graph: what a GPU was asked for once is asked again by one call, with no work of the
// host between the kernels. Declared in every build, defined in builds with CUDA; no CUDA headers here.
#pragma once

#include <functional>
#include <memory>

#include "tensor/device.h"

namespace dcl::tensor::cuda {

/// The work of one capture. What changes from replay to replay (pictures, learning rate, order) is read from
/// tensors that were made before the capture; what it computes stands in tensors made inside, which each
/// replay overwrites. Memory of its temporaries is the graph's own and is given back with it.
class WorkGraph {
 public:
  explicit WorkGraph(Device device);
  ~WorkGraph();
  WorkGraph(const WorkGraph&) = delete;
  WorkGraph& operator=(const WorkGraph&) = delete;

  /// Calls `work` once and keeps what it asks the device for, which does not do it yet. `work` may not wait
  /// for the device or copy to the host (Tensor::item): that throws, and there is no graph then.
  void capture(const std::function<void()>& work);
  /// Has the device do the work of the capture once more, in order with everything else.
  void replay();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

std::shared_ptr<WorkGraph> make_work_graph(Device device);

}  // namespace dcl::tensor::cuda
