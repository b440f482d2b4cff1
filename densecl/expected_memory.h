// How much memory training takes, before it has taken any.
#pragma once

#include <cstdint>
#include <string>

#include "densecl/model.h"

namespace dcl::densecl {

/// What a step is made of, for one process.
struct StepSize {
  std::string arch;
  std::int64_t image_size = 224;
  std::int64_t part = 16;      // pictures that go through the network together
  std::int64_t pictures = 16;  // pairs that are in memory: those of the step and those read ahead
};

/// In MiB:
///
///   state       = 4 B · (4 · parameters + queues)              weights of both encoders, gradients, momentum
///   activations = b · A · (image_size / 224)² · part           A numbers of b bytes for one picture of 224²
///   views       = 4 B · 2 · 3 · image_size² · pictures
struct ExpectedMemory {
  double state = 0;
  double activations = 0;
  double views = 0;

  double total() const { return state + activations + views; }
};

ExpectedMemory expected_memory(const ContrastiveModel& model, const StepSize& step);

/// Throws where a step of `step` does not fit into the memory that the model's GPU has left beside the model,
/// with the batch that would. Nothing to say for a model on the CPU. `step.pictures` are those whose views
/// are on the device.
void check_fits(const ContrastiveModel& model, const StepSize& step, std::int64_t accumulate);

}  // namespace dcl::densecl
