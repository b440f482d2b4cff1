#include "tensor/cuda/plan_cache.h"

#include <mutex>
#include <optional>
#include <unordered_map>

#include "tensor/cuda/context.h"

namespace dcl::tensor::cuda {

namespace {

PlanStore store_of(int device) {
  return {plan_folder(), fmt::format("cuDNN {}", cudnn_version()), device_properties(device).name};
}

std::shared_ptr<const CudnnPlan> shared(std::optional<CudnnPlan> plan) {
  return plan ? std::make_shared<const CudnnPlan>(std::move(*plan)) : nullptr;
}

}  // namespace

std::shared_ptr<const CudnnPlan> cached_plan(const std::string& op, const PlanKey& key,
                                             const std::function<CudnnGraph()>& graph,
                                             const PlanRules& rules) {
  static std::mutex mutex;
  // Never destroyed: cuDNN's own libraries may go first.
  static auto& plans = *new std::unordered_map<PlanKey, std::shared_ptr<const CudnnPlan>, PlanKeyHash>;
  const std::lock_guard lock(mutex);
  if (const auto found = plans.find(key); found != plans.end()) return found->second;
  const CudnnDevice device = cudnn_device();
  const PlanStore store = store_of(key.device);
  std::shared_ptr<const CudnnPlan> plan;
  if (const auto text = store.load(key)) plan = shared(CudnnPlan::from_json(op, device, *text));
  if (!plan) {
    plan = shared(graph().plan(device, rules));
    if (plan)
      if (const auto text = plan->json()) store.save(key, *text);
  }
  return plans[key] = plan;
}

}  // namespace dcl::tensor::cuda
