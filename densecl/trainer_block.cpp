// The start-up block of the log.
#include <cmath>
#include <map>

#include "densecl/augment_config.h"
#include "densecl/trainer.h"
#include "tensor/cpu/features.h"
#include "tensor/cpu/tiles/tile_kernel.h"

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

struct Memory {
  double state = 0;        // MiB: weights of both encoders, gradients, momentum, queues
  double activations = 0;  // MiB, of one part of the batch
  double views = 0;        // MiB, of the batches under way
};

Memory expected_memory(const TrainConfig& config, const ContrastiveModel& model, std::int64_t batches) {
  Memory memory;
  for (const auto& [name, tensor] : model.state())
    memory.state += static_cast<double>(tensor.nbytes()) / kMiB;
  for (const auto& [name, parameter] : model.parameters())  // gradient and momentum
    memory.state += 2 * static_cast<double>(parameter.value().nbytes()) / kMiB;
  const double side = static_cast<double>(config.image_size);
  const double part = static_cast<double>(config.batch_size / config.accumulate);
  const double bytes = config.precision == "bf16" ? 2 : 4;
  memory.activations = part * bytes * kept_activations(config.arch) * std::pow(side / 224, 2) / kMiB;
  memory.views = static_cast<double>(batches * config.batch_size) * 2 * 3 * 4 * side * side / kMiB;
  return memory;
}

std::string batch_norm_line(const TrainConfig& config) {
  if (config.bn_groups == 1)
    return "batch norm: one group in one process, which switches shuffling batch norm off (see --bn-groups)";
  return fmt::format("batch norm: {} groups of {} pictures, shuffled for the key encoder", config.bn_groups,
                     config.batch_size / config.accumulate / config.bn_groups);
}

std::string schedule_text(const TrainConfig& config) {
  std::string text = config.cos                ? std::string("cosine")
                     : config.schedule.empty() ? std::string("constant")
                                               : "a tenth at each of the epochs ";
  for (std::size_t i = 0; i < config.schedule.size(); ++i)
    text += fmt::format("{}{}", i == 0 ? "" : ", ", config.schedule[i]);
  if (config.warmup_epochs > 0) text += fmt::format(", after {} epochs of warm-up", config.warmup_epochs);
  return text;
}

}  // namespace

std::string Trainer::start_block() const {
  const TrainConfig& c = config_;
  const Memory memory = expected_memory(c, model_, data::LoaderOptions{}.prefetch + 1);
  std::string block =
      fmt::format("{} with {}, {} px, batch {}{}, queue {}\n", c.method, c.arch, c.image_size, c.batch_size,
                  c.accumulate > 1 ? fmt::format(" in {} parts", c.accumulate) : "", c.moco_k);
  block += fmt::format("pictures: {} in {}, {} iterations an epoch, {} in all\n", state_.pictures, c.data,
                       iterations_, total_steps());
  block += fmt::format("augmentation: {}\n", augmentation_text(c));
  block += fmt::format("learning rate: {}, {}\n", c.lr, schedule_text(c));
  block += fmt::format("processor: {}; {}\n", tensor::cpu::processor_features(), tensor::cpu::chosen_paths());
  block += fmt::format("threads: {} compute, {} load pictures; {}\n", c.threads, c.workers, c.precision);
  if (c.precision == "bf16" && tensor::cpu::tile_path() == tensor::cpu::TilePath::vectors)
    block += "bf16: this processor has no bfloat16 products and widens each number: slower than fp32\n";
  block += fmt::format(
      "memory: about {:.0f} MiB expected ({:.0f} weights, gradients, momentum and queues, {:.0f} "
      "activations, {:.0f} pictures)\n",
      memory.state + memory.activations + memory.views, memory.state, memory.activations, memory.views);
  block += fmt::format(
      "random: weights, queues, order of pictures, augmentations and shuffling, all from seed {}; "
      "the same seed and threads give the same bits\n",
      c.seed);
  block += batch_norm_line(c);
  block += "\nqueue: random at first; the loss rises until it holds real keys (queue_fill)";
  return block;
}

}  // namespace dcl::densecl
