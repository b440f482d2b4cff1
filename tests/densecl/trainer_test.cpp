// One step of training, against the model driven by hand.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <set>

#include <gtest/gtest.h>

#include "autograd/variable.h"
#include "densecl/trainer_step.h"
#include "tensor/cpu/features.h"
#include "tensor/random.h"

namespace {

using namespace dcl::densecl;
using dcl::tensor::Tensor;

constexpr std::int64_t kIterations = 3;  // an epoch

TrainConfig small_config() {
  TrainConfig config;
  config.arch = "resnet18";
  config.image_size = 32;
  config.batch_size = 4;
  config.moco_k = 16;
  config.moco_dim = 8;
  config.neck_hidden = 16;
  config.lr = 0.1;
  config.schedule = {};
  return config;
}

Tensor random_pictures(std::int64_t n, std::int64_t side, std::uint64_t seed) {
  Tensor x = Tensor::empty({n, side, side, 3});
  dcl::tensor::RandomStream random({.seed = seed});
  std::generate_n(x.data<float>(), x.numel(), [&] { return static_cast<float>(random.normal()); });
  return x;
}

dcl::data::Batch random_batch(const TrainConfig& config, std::uint64_t seed) {
  dcl::data::Batch batch;
  batch.query_view = random_pictures(config.batch_size, config.image_size, 2 * seed);
  batch.key_view = random_pictures(config.batch_size, config.image_size, 2 * seed + 1);
  return batch;
}

struct Trained {
  explicit Trained(const TrainConfig& c)
      : config(c),
        model(model_options(config)),
        optimizer(model.parameters(), sgd_params(config)),
        step(config, kIterations, model, optimizer) {}
  TrainConfig config;
  ContrastiveModel model;
  dcl::optim::Sgd optimizer;
  TrainStep step;
};

double largest_difference(const Tensor& a, const Tensor& b) {
  const auto x = a.to_vector<double>();
  const auto y = b.to_vector<double>();
  double worst = 0;
  for (std::size_t i = 0; i < x.size(); ++i)
    worst = std::max(worst, std::abs(x[i] - y[i]) / std::max(1.0, std::abs(x[i])));
  return worst;
}

// In parts, batch norm sees the part: the same as groups of batch norm over the whole batch, in one step,
// where nothing is shuffled. So an update in parts is held against the model driven by hand with two groups:
// on the plain path, where both sum a part's statistics in the same order. (Convolutions that sum them for
// batch norm do so for one group only, and what they round otherwise is up to a hundred times as large a step
// later.)
TEST(TrainStep, AnUpdateInPartsIsOneUpdateOfTheWholeBatch) {
  const dcl::tensor::cpu::FastPathsScope plain(false);
  TrainConfig config = small_config();
  config.image_size = 64;  // 16 values a channel and part in the last stage: well conditioned
  config.batch_size = 8;
  config.lr = 0.01;
  config.accumulate = 2;
  Trained parts(config);
  config.accumulate = 1;
  config.bn_groups = 2;
  Trained whole(config);
  for (Trained* each : {&parts, &whole}) each->model.initialise(1);
  std::vector<std::int64_t> in_order(8);
  std::iota(in_order.begin(), in_order.end(), 0);
  for (std::int64_t step = 0; step < 2; ++step) {
    const auto batch = random_batch(config, static_cast<std::uint64_t>(step));
    const StepResult result = parts.step.run(batch, {0, step, step});
    ASSERT_FALSE(result.nonfinite);

    const auto out = whole.model.forward(batch.query_view, batch.key_view, Tensor::from(in_order, {8}),
                                         Tensor::scalar(config.loss_lambda));
    dcl::autograd::backward(out.loss);
    whole.optimizer.step(Tensor::scalar(config.lr));
    whole.optimizer.zero_grad();
    whole.model.enqueue(out.keys, out.dense_keys);
    EXPECT_NEAR(result.loss, out.loss.value().item(), 2e-5);
    EXPECT_NEAR(result.loss_global, out.loss_global.item(), 2e-5);
    EXPECT_NEAR(result.loss_dense, out.loss_dense.item(), 2e-5);
    EXPECT_DOUBLE_EQ(result.top1, out.top1.item());
  }
  const auto expected = whole.model.state();
  const auto got = parts.model.state();
  for (std::size_t i = 0; i < got.size(); ++i) {
    // Statistics are tracked a batch at a time, and a part is one.
    if (got[i].name.find("running_") != std::string::npos || got[i].name.ends_with("num_batches_tracked"))
      continue;
    EXPECT_LT(largest_difference(expected[i].tensor, got[i].tensor), 1e-3) << got[i].name;
  }
  EXPECT_EQ(got.back().name, "queue2_ptr");
  EXPECT_EQ(got.back().tensor.item(), 0);  // 16 keys went round a ring of 16
}

TEST(TrainStep, TheOrderForTheKeysFollowsFromSeedStepAndPart) {
  TrainConfig config = small_config();
  config.batch_size = 16;
  config.bn_groups = 2;
  const Trained trained(config);
  std::set<std::vector<std::int64_t>> orders;
  for (std::int64_t step = 0; step < 4; ++step) {
    for (std::int64_t part = 0; part < 2; ++part) {
      auto order = trained.step.permutation(step, part).to_vector<std::int64_t>();
      EXPECT_EQ(order, trained.step.permutation(step, part).to_vector<std::int64_t>());
      orders.insert(order);
      std::sort(order.begin(), order.end());
      for (std::int64_t i = 0; i < 16; ++i) EXPECT_EQ(order[static_cast<std::size_t>(i)], i);
    }
  }
  EXPECT_EQ(orders.size(), 8U);
  config.seed = 1;
  EXPECT_EQ(orders.count(Trained(config).step.permutation(0, 0).to_vector<std::int64_t>()), 0U);
  config.bn_groups = 1;
  EXPECT_EQ(Trained(config).step.permutation(3, 0).to_vector<std::int64_t>()[5], 5);
}

// Left before any of its ops, a step leaves no trace: the next ones give the same bits as if nothing had
// been.
TEST(TrainStep, AnAbandonedStepIsTakenBack) {
  TrainConfig config = small_config();
  config.bn_groups = 2;
  config.accumulate = 2;
  config.batch_size = 8;
  Trained never(config);
  Trained often(config);
  for (Trained* each : {&never, &often}) each->model.initialise(1);
  const auto batch = random_batch(config, 3);
  int ops = 0;
  ASSERT_FALSE(never.step.run(batch, {0, 0, 0}, [&] { return ++ops < 0; }).abandoned);
  ASSERT_GT(ops, 300);
  for (int leave = 1; leave <= ops; leave += 37) {
    int left = leave;
    EXPECT_TRUE(often.step.run(batch, {0, 0, 0}, [&] { return --left == 0; }).abandoned) << leave;
  }
  often.step.run(batch, {0, 0, 0});
  const auto expected = never.model.state();
  const auto got = often.model.state();
  for (std::size_t i = 0; i < got.size(); ++i)
    EXPECT_EQ(got[i].tensor.to_vector<double>(), expected[i].tensor.to_vector<double>()) << got[i].name;
}

TEST(TrainStep, LambdaAndLearningRateFollowTheirSchedules) {
  TrainConfig config = small_config();
  config.lambda_warmup = 5;
  config.epochs = 4;
  config.cos = true;
  const Trained trained(config);
  EXPECT_EQ(trained.step.lambda(4), 0);
  EXPECT_EQ(trained.step.lambda(5), 0.5);
  EXPECT_DOUBLE_EQ(trained.step.lr({0, 2, 2}), 0.1);
  EXPECT_DOUBLE_EQ(trained.step.lr({2, 0, 6}), 0.05);
  EXPECT_DOUBLE_EQ(trained.step.lr({3, 1, 10}), 0.1 * 0.5 * (1 + std::cos(std::acos(-1.0) * 0.75)));
}

TEST(TrainStep, ABatchThatIsNotFiniteIsNamedAndChangesNothingButTheKeyEncoder) {
  TrainConfig config = small_config();
  config.skip_nonfinite = 1;
  Trained trained(config);
  trained.model.initialise(1);
  std::vector<std::vector<double>> before;
  for (auto& [name, tensor] : trained.model.state()) before.push_back(tensor.to_vector<double>());
  auto batch = random_batch(config, 1);
  batch.key_view.data<float>()[77] = std::numeric_limits<float>::quiet_NaN();
  const StepResult result = trained.step.run(batch, {0, 0, 0});
  ASSERT_TRUE(result.nonfinite);
  EXPECT_EQ(*result.nonfinite, "key_view");
  std::size_t i = 0;
  for (auto& [name, tensor] : trained.model.state()) {
    const auto now = tensor.to_vector<double>();
    const auto& then = before[i++];
    const bool follows =
        name.starts_with("encoder_k");  // its momentum update came first, towards equal weights
    const auto same = [&](double a, double b) { return follows ? std::abs(a - b) <= 1e-6 : a == b; };
    EXPECT_TRUE(std::equal(now.begin(), now.end(), then.begin(), then.end(), same)) << name;
  }
  EXPECT_TRUE(trained.optimizer.state().empty());
  // And the next good batch trains.
  EXPECT_FALSE(trained.step.run(random_batch(config, 2), {0, 1, 1}).nonfinite);
}

TEST(TrainStep, TheFirstNonFiniteTensorIsNamed) {
  const Tensor good = Tensor::zeros({3});
  Tensor bad = Tensor::zeros({3});
  bad.data<float>()[2] = std::numeric_limits<float>::infinity();
  EXPECT_FALSE(first_nonfinite({{"a", good}, {"b", Tensor()}}));
  EXPECT_EQ(*first_nonfinite({{"a", good}, {"b", bad}, {"c", bad}}), "b");
}

}  // namespace
