#include "tensor/cuda/graph.h"

#include "tensor/cuda/allocator.h"
#include "tensor/cuda/context.h"

namespace dcl::tensor::cuda {

namespace {

struct DestroyGraph {
  void operator()(cudaGraph_t graph) const { cudaGraphDestroy(graph); }
};
struct DestroyExecutable {
  void operator()(cudaGraphExec_t graph) const { cudaGraphExecDestroy(graph); }
};
using Graph = std::unique_ptr<std::remove_pointer_t<cudaGraph_t>, DestroyGraph>;
using Executable = std::unique_ptr<std::remove_pointer_t<cudaGraphExec_t>, DestroyExecutable>;

// Relaxed: the pool of the graph may ask CUDA for more memory meanwhile.
Graph captured(const std::function<void()>& work) {
  const cudaStream_t stream = current_stream();
  DCL_CUDA("graph", cudaStreamBeginCapture(stream, cudaStreamCaptureModeRelaxed));
  cudaGraph_t graph = nullptr;
  try {
    work();
  } catch (...) {
    cudaStreamEndCapture(stream, &graph);  // ends the capture whatever it says
    const Graph owned(graph);
    cudaGetLastError();
    throw;
  }
  DCL_CUDA("graph", cudaStreamEndCapture(stream, &graph));
  return Graph(graph);
}

}  // namespace

struct WorkGraph::State {
  Device device;
  MemoryPool pool;  // outlives what runs in it
  Executable executable;
};

WorkGraph::WorkGraph(Device device) : state_(new State{device, MemoryPool(device.index), nullptr}) {}

WorkGraph::~WorkGraph() {
  try {
    const DeviceScope on(state_->device);
    cudaStreamSynchronize(current_stream());  // a replay may still run in its memory
  } catch (const Error&) {                    // the runtime is gone, and its work with it
  }
}

void WorkGraph::capture(const std::function<void()>& work) {
  const DeviceScope on(state_->device);
  state_->executable.reset();
  // Room for a second step's memory, and nothing to give back to CUDA while it captures.
  synchronize();
  allocator(state_->device.index).release_cached();
  const MemoryPool::Use use(state_->pool);
  const Graph graph = captured(work);
  cudaGraphExec_t executable = nullptr;
  DCL_CUDA("graph", cudaGraphInstantiate(&executable, graph.get(), 0));
  state_->executable.reset(executable);
  DCL_CUDA("graph", cudaGraphUpload(executable, current_stream()));
}

std::shared_ptr<WorkGraph> make_work_graph(Device device) { return std::make_shared<WorkGraph>(device); }

void WorkGraph::replay() {
  const DeviceScope on(state_->device);
  check(state_->executable != nullptr, "graph: nothing was captured");
  DCL_CUDA("graph", cudaGraphLaunch(state_->executable.get(), current_stream()));
}

}  // namespace dcl::tensor::cuda
