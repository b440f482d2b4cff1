#include "densecl/expected_memory.h"

#include <cmath>
#include <map>

namespace dcl::densecl {

namespace {

constexpr double kMiB = 1024.0 * 1024.0;

// Millions of numbers that one forward pass of a picture of 224² keeps for the backward pass: what its
// convolutions give (as torchvision's models do; "activations" of Radosavovic et al., "Designing Network
// Design Spaces", 2020) but for those that are cheap to repeat (autograd/ops/conv2d.cpp), and what the
// pooling behind the first one and its residual blocks give. The other activations are made again
// (autograd::Saved).
double kept_activations(const std::string& arch) {
  static const std::map<std::string, double> millions = {{"resnet18", 2.4 + 1.0},
                                                         {"resnet34", 3.7 + 1.6},
                                                         {"resnet50", 7.7 + 5.7},
                                                         {"resnet101", 12.8 + 9.1},
                                                         {"resnet152", 19.2 + 13.3}};
  const auto found = millions.find(arch);
  return found == millions.end() ? 0 : found->second * 1e6;
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
  memory.activations =
      static_cast<double>(step.part) * bytes * kept_activations(step.arch) * std::pow(side / 224, 2) / kMiB;
  memory.views = static_cast<double>(step.pictures) * 2 * 3 * 4 * side * side / kMiB;
  return memory;
}

}  // namespace dcl::densecl
