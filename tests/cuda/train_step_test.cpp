// Steps of training on the device: against the CPU's, and as one CUDA graph against op by op.
#include <algorithm>
#include <cmath>

#include "densecl/expected_memory.h"
#include "densecl/trainer_step.h"
#include "tensor/device.h"
#include "tensor/interrupt.h"
#include "tensor/storage.h"
#include "tests/cuda/cuda_rows.h"

namespace dcl::test {
namespace {

#ifdef DCL_WITH_CUDA  // the model's tensors say where they are: not for kernels on the CPU's own

using namespace densecl;

TrainConfig small_config(const std::string& device) {
  TrainConfig config;
  config.arch = "resnet18";
  config.image_size = 32;
  config.batch_size = 8;
  config.bn_groups = 2;
  config.moco_k = 24;  // the ring wraps
  config.moco_dim = 8;
  config.neck_hidden = 16;
  config.lr = 0.01;
  config.schedule = {2};
  config.device = device;
  return config;
}

data::Batch random_batch(const TrainConfig& config, std::uint64_t seed) {
  const Shape shape{config.batch_size, config.image_size, config.image_size, 3};
  data::Batch batch;
  batch.query_view = random_tensor(shape, 2 * seed, {-2, 2}).to(tensor::DType::float32);
  batch.key_view = random_tensor(shape, 2 * seed + 1, {-2, 2}).to(tensor::DType::float32);
  return batch;
}

struct Trained {
  explicit Trained(const TrainConfig& c)
      : config(c),
        model(model_options(config)),
        optimizer(model.parameters(), sgd_params(config)),
        step(config, 2, model, optimizer) {
    model.initialise(1);
  }
  StepResult run(std::int64_t i) {
    return step.run(random_batch(config, static_cast<std::uint64_t>(i)), {i / 2, i % 2, i}, nullptr,
                    [this] { ++meanwhile; });
  }
  int meanwhile = 0;  // calls
  TrainConfig config;
  ContrastiveModel model;
  optim::Sgd optimizer;
  TrainStep step;
};

void expect_same_state(const ContrastiveModel& got, const ContrastiveModel& expected) {
  const auto a = got.state();
  const auto b = expected.state();
  for (std::size_t i = 0; i < a.size(); ++i)
    expect_same_bits(to_host(a[i].tensor), to_host(b[i].tensor), a[i].name);
}

// Two epochs of two steps, and a step of a third at a tenth of the learning rate; the graph comes with the
// third step.
void expect_same_run(TrainConfig as_graph) {
  TrainConfig eager = as_graph;
  eager.cuda_graph = "off";
  Trained a(eager);
  Trained b(as_graph);
  for (std::int64_t i = 0; i < 5; ++i) {
    const StepResult x = a.run(i);
    const StepResult y = b.run(i);
    EXPECT_EQ(x.loss, y.loss) << i;
    EXPECT_EQ(x.loss_dense, y.loss_dense) << i;
    EXPECT_EQ(x.top1, y.top1) << i;
    EXPECT_EQ(x.lr, y.lr) << i;
    EXPECT_EQ(a.meanwhile, 0) << i;
    EXPECT_EQ(b.meanwhile, std::max<std::int64_t>(0, i - 1)) << i;
  }
  expect_same_state(b.model, a.model);
}

TEST(CudaTrainStep, AsAGraphIsOpByOp) {
  DCL_NEEDS_DEVICE();
  expect_same_run(small_config("cuda"));
}

TEST(CudaTrainStep, InPartsAndBfloat16AsAGraphIsOpByOp) {
  DCL_NEEDS_DEVICE();
  TrainConfig config = small_config("cuda");
  config.method = "mocov2";
  config.accumulate = 2;
  config.bn_groups = 1;
  config.precision = "bf16";
  expect_same_run(config);
}

// A capture that fails in the middle of the third step leaves nothing behind: that step, and the ones after
// it, run op by op. Where a graph was asked for by name the error comes through.
TEST(CudaTrainStep, WhatCannotBeCapturedIsOpByOp) {
  DCL_NEEDS_DEVICE();
  TrainConfig config = small_config("cuda");
  Trained fallen(config);
  config.cuda_graph = "off";
  Trained eager(config);
  config.cuda_graph = "on";
  Trained insisting(config);
  std::string why;
  fallen.step.on_no_graph([&](const std::string& text) { why = text; });
  int ops = -1;  // counted from 0 on
  const tensor::InterruptScope scope([&] {
    if (ops >= 0 && ++ops == 50) fail("the fiftieth op of a capture fails");
    return false;
  });
  const auto capture_fails = [&](std::int64_t i) { ops = i == 2 ? 0 : -1; };
  for (std::int64_t i = 0; i < 4; ++i) {
    capture_fails(-1);
    const StepResult expected = eager.run(i);
    EXPECT_EQ(fallen.step.as_graph(), i < 3) << i;
    capture_fails(i);
    const StepResult got = fallen.run(i);
    EXPECT_EQ(got.loss, expected.loss) << i;
    EXPECT_EQ(got.top1, expected.top1) << i;
  }
  EXPECT_EQ(why, "the fiftieth op of a capture fails");
  expect_same_state(fallen.model, eager.model);
  capture_fails(-1);
  for (std::int64_t i = 0; i < 2; ++i) insisting.run(i);
  capture_fails(2);
  expect_error([&] { insisting.run(2); }, {"the fiftieth op of a capture fails"});
}

TEST(CudaTrainStep, IsTheCpus) {
  DCL_NEEDS_DEVICE();
  // Cells and pictures enough for batch norm to be well conditioned, so that rounding stays small.
  TrainConfig config = small_config("cpu");
  config.image_size = 64;
  config.bn_groups = 1;
  Trained cpu(config);
  config.device = "cuda";
  Trained cuda(config);
  for (const auto& [name, tensor] : cuda.model.state())
    EXPECT_EQ(tensor.device().is_cuda(), !name.ends_with("num_batches_tracked")) << name;
  for (std::int64_t i = 0; i < 3; ++i) {
    const StepResult x = cpu.run(i);
    const StepResult y = cuda.run(i);
    EXPECT_NEAR(x.loss_global, y.loss_global, 1e-4 * std::pow(10, i)) << i;
    EXPECT_NEAR(x.loss_dense, y.loss_dense, 1e-4 * std::pow(10, i)) << i;
  }
}

TEST(CudaTrainStep, ANanIsFoundAndNamed) {
  DCL_NEEDS_DEVICE();
  Trained trained(small_config("cuda"));
  auto batch = random_batch(trained.config, 1);
  batch.key_view.data<float>()[7] = std::nanf("");
  EXPECT_EQ(trained.step.run(batch, {0, 0, 0}).nonfinite, "key_view");
}

TEST(CudaTrainStep, WhatDoesNotFitIsSaidWithWhatWould) {
  DCL_NEEDS_DEVICE();
  const Trained trained(small_config("cuda"));
  EXPECT_NO_THROW(check_fits(trained.model, {"resnet18", 224, 8, 8}, 1));
  expect_error([&] { check_fits(trained.model, {"resnet18", 224, 1 << 20, 1 << 20}, 2); },
               {"--batch-size 2097152: about ", " MiB expected beside the model, cuda:0 has ", " would fit"});
}

// What a forward pass leaves on the device for its backward pass.
TEST(CudaTrainStep, ActivationsTakeWhatIsExpected) {
  DCL_NEEDS_DEVICE();
  TrainConfig config = small_config("cuda");
  config.batch_size = 16;
  Trained trained(config);
  const tensor::TensorOptions options = trained.model.options().options;
  const data::Batch batch = random_batch(config, 1);
  const Tensor query = batch.query_view.to(options.device);
  const Tensor key = batch.key_view.to(options.device);
  const Tensor order = trained.step.permutation(0, 0).to(options.device);
  const Tensor lambda = Tensor::scalar(0.5, options);
  const auto live = [&] { return tensor::allocator(options.device).stats().live; };
  const std::int64_t before = live();
  const StepOutput out = trained.model.forward(query, key, order, lambda);
  const double kept = static_cast<double>(live() - before) / (1 << 20);
  const double expected = expected_memory(trained.model, {"resnet18", config.image_size, 16, 16}).activations;
  // Rather too much than too little: a batch that is let through has to fit.
  EXPECT_LE(kept, expected);
  EXPECT_GE(kept, 0.75 * expected);
}

#endif

}  // namespace
}  // namespace dcl::test
