// The start-up block of the log.
#include "densecl/augment_config.h"
#include "densecl/expected_memory.h"
#include "densecl/trainer.h"
#include "tensor/cpu/features.h"
#include "tensor/cpu/tiles/tile_kernel.h"

namespace dcl::densecl {

namespace {

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
  const ExpectedMemory memory =
      expected_memory(model_, {.arch = c.arch,
                               .image_size = c.image_size,
                               .part = c.batch_size / c.accumulate,
                               .pictures = (data::LoaderOptions{}.prefetch + 1) * c.batch_size});
  std::string block =
      fmt::format("{} with {}, {} px, batch {}{}, queue {}\n", c.method, c.arch, c.image_size, c.batch_size,
                  c.accumulate > 1 ? fmt::format(" in {} parts", c.accumulate) : "", c.moco_k);
  block += fmt::format("pictures: {} in {}, {} iterations an epoch, {} in all\n", state_.pictures, c.data,
                       iterations_, total_steps());
  block += fmt::format("augmentation: {}{}\n", augmentation_text(c),
                       c.aug_device == "cuda" ? "; on the GPU after crop and resize" : "");
  block += fmt::format("learning rate: {}, {}\n", c.lr, schedule_text(c));
  block += fmt::format("processor: {}; {}\n", tensor::cpu::processor_features(), tensor::cpu::chosen_paths());
  if (const auto device = model_.options().options.device; device.is_cuda())
    block += fmt::format("device: {}; {}\n", tensor::describe(device),
                         step_.as_graph() ? "steps as one CUDA graph from the third on" : "steps op by op");
  block += fmt::format("threads: {} compute, {} load pictures; {}\n", c.threads, c.workers, c.precision);
  if (c.precision == "bf16" && c.device == "cpu" &&
      tensor::cpu::tile_path() == tensor::cpu::TilePath::vectors)
    block += "bf16: this processor has no bfloat16 products and widens each number: slower than fp32\n";
  block += fmt::format(
      "memory: about {:.0f} MiB expected ({:.0f} weights, gradients, momentum and queues, {:.0f} "
      "activations, {:.0f} pictures)\n",
      memory.total(), memory.state, memory.activations, memory.views);
  block += fmt::format(
      "random: weights, queues, order of pictures, augmentations and shuffling, all from seed {}; "
      "the same seed and threads give the same bits\n",
      c.seed);
  block += batch_norm_line(c);
  block += "\nqueue: random at first; the loss rises until it holds real keys (queue_fill)";
  return block;
}

}  // namespace dcl::densecl
