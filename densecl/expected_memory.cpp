#include "densecl/expected_memory.h"

#include <algorithm>
#include <cmath>
#include <map>

namespace dcl::densecl {

namespace {

constexpr double kMiB = 1024.0 * 1024.0;

// Numbers that one forward pass of a picture of 224² keeps for the backward pass: what its convolutions give
// (as torchvision's models do; "activations" of Radosavovic et al., "Designing Network Design Spaces", 2020)
// but for those that are cheap to repeat (autograd/ops/conv2d.cpp), and what the pooling behind the first one
// and its residual blocks give. The other activations are made again (autograd::Saved), except on a GPU:
// there each convolution's result and what batch norm makes of it are kept.
double kept_activations(const std::string& arch, const ModelOptions& options) {
  struct Millions {
    double by_default, in_bfloat16, on_cuda;
  };
  static const std::map<std::string, Millions> kept = {
      {"resnet18", {2.4 + 1.0, 2.4 + 1.0, 2 * 2.5 + 0.2}},
      {"resnet34", {3.7 + 1.6, 3.7 + 1.6, 2 * 3.8 + 0.2}},
      {"resnet50", {7.7 + 5.7, 6.1 + 5.7, 2 * 11.1 + 0.2}},
      {"resnet101", {12.8 + 9.1, 11.2 + 9.1, 2 * 16.2 + 0.2}},
      {"resnet152", {19.2 + 13.3, 15.9 + 13.3, 2 * 22.6 + 0.2}}};
  const auto found = kept.find(arch);
  if (found == kept.end()) return 0;
  if (options.options.device.is_cuda()) return found->second.on_cuda * 1e6;
  return (options.bfloat16 ? found->second.in_bfloat16 : found->second.by_default) * 1e6;
}

}  // namespace

ExpectedMemory expected_memory(const ContrastiveModel& model, const StepSize& step) {
  ExpectedMemory memory;
  for (const auto& [name, tensor] : model.state())
    memory.state += static_cast<double>(tensor.nbytes()) / kMiB;
  for (const auto& [name, parameter] : model.parameters())  // gradient and momentum
    memory.state += 2 * static_cast<double>(parameter.value().nbytes()) / kMiB;
  const auto side = static_cast<double>(step.image_size);
  const double bytes =
      model.options().bfloat16 ? 2 : static_cast<double>(size_of(model.options().options.dtype));
  memory.activations = static_cast<double>(step.part) * bytes * kept_activations(step.arch, model.options()) *
                       std::pow(side / 224, 2) / kMiB;
  memory.views = static_cast<double>(step.pictures) * 2 * 3 * 4 * side * side / kMiB;
  return memory;
}

void check_fits(const ContrastiveModel& model, const StepSize& step, std::int64_t accumulate) {
  const tensor::Device device = model.options().options.device;
  if (device.is_cpu()) return;
  constexpr double kLibraries = 1024;  // workspaces, plans and code of cuDNN and cuBLAS
  const ExpectedMemory memory = expected_memory(model, step);
  double there = 0;  // of the state
  for (const auto& [name, tensor] : model.state()) there += static_cast<double>(tensor.nbytes()) / kMiB;
  const double fixed = memory.state - there + kLibraries;
  const double each = (memory.activations + memory.views) / static_cast<double>(step.part);
  const double room = static_cast<double>(tensor::free_bytes(device)) / kMiB;
  if (fixed + each * static_cast<double>(step.part) <= room) return;
  const std::int64_t groups = accumulate * model.options().bn_groups;
  const auto part = static_cast<std::int64_t>(std::max(0.0, (room - fixed) / each));
  const std::int64_t fits = part * accumulate / groups * groups;
  fail("--batch-size {}: about {:.0f} MiB expected beside the model, {} has {:.0f} MiB free; {}",
       step.part * accumulate, fixed + each * static_cast<double>(step.part), device.str(), room,
       fits > 0 ? fmt::format("{} would fit, or more parts (--accumulate)", fits)
                : std::string("no batch would fit"));
}

}  // namespace dcl::densecl
