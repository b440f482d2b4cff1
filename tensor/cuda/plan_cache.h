// cuDNN's plans, each made once: kept in memory, and on disk where the engine can be written down
// (tensor/io/plan_store.h says where). Engines that are compiled at run time take about a second each.
#pragma once

#include <functional>
#include <memory>

#include "tensor/cuda/cudnn_graph.h"
#include "tensor/io/plan_store.h"

namespace dcl::tensor::cuda {

/// The plan for `key` on the current device, which is key.device; `graph` is called when there is none yet.
/// Null where cuDNN has none, which is remembered in memory. May be called from any thread.
std::shared_ptr<const CudnnPlan> cached_plan(const std::string& op, const PlanKey& key,
                                             const std::function<CudnnGraph()>& graph,
                                             const PlanRules& rules);

}  // namespace dcl::tensor::cuda
