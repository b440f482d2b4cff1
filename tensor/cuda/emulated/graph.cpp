#include "tensor/cuda/graph.h"

#include <vector>

#include "tensor/check.h"
#include "tensor/cuda/emulated/memory.h"
#include "tensor/cuda/emulated/stream.h"

namespace dcl::tensor::cuda {

namespace {

using Work = std::vector<std::function<void()>>;

Work*& capturing() {
  thread_local Work* work = nullptr;
  return work;
}

// Memory of the device is open while it lives.
class Access {
 public:
  Access() { emulated::memory().open(); }
  ~Access() { emulated::memory().close(); }
  Access(const Access&) = delete;
  Access& operator=(const Access&) = delete;
};

}  // namespace

void emulated::submit(std::function<void()> work) {
  if (capturing() != nullptr) {
    capturing()->push_back(std::move(work));
    return;
  }
  const Access access;
  work();
}

void emulated::check_may_wait(const char* op) {
  check(capturing() == nullptr, "{}: waits for the device while a graph is captured", op);
}

struct WorkGraph::State {
  std::size_t pool = emulated::memory().add_pool();
  Work work;
};

WorkGraph::WorkGraph(Device /*device*/) : state_(new State) {}
WorkGraph::~WorkGraph() { emulated::memory().let_go_of_pool(state_->pool); }

void WorkGraph::capture(const std::function<void()>& work) {
  state_->work.clear();
  emulated::memory().use_pool(state_->pool);
  capturing() = &state_->work;
  const auto end = [] {
    capturing() = nullptr;
    emulated::memory().use_pool(0);
  };
  try {
    work();
  } catch (...) {
    end();
    state_->work.clear();
    throw;
  }
  end();
}

std::shared_ptr<WorkGraph> make_work_graph(Device device) { return std::make_shared<WorkGraph>(device); }

void WorkGraph::replay() {
  check(!state_->work.empty(), "graph: nothing was captured");
  const Access access;
  for (const auto& each : state_->work) each();
}

}  // namespace dcl::tensor::cuda
