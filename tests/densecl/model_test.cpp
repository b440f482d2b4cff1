#include "densecl/model.h"

#include <cmath>

#include "densecl/state_file.h"
#include "optim/sgd.h"
#include "tests/ops/op_table.h"

namespace dcl::densecl {
namespace {

constexpr tensor::TensorOptions kDouble{tensor::DType::float64, {}};

ModelOptions small(Method method = Method::densecl) {
  return {.method = method, .arch = "resnet18", .dim = 8, .hidden = 16, .queue = 10, .options = kDouble};
}

Tensor order(const std::vector<std::int64_t>& values) {
  const auto n = static_cast<std::int64_t>(values.size());
  return Tensor::from(values, {n});
}

Tensor pictures(std::uint64_t seed, std::int64_t n = 4, std::int64_t side = 64) {
  return test::random_tensor({n, side, side, 3}, seed);
}

const Tensor kHalf = Tensor::scalar(0.5, kDouble);
const Tensor kInOrder = order({0, 1, 2, 3});

void expect_unit_rows(const Tensor& rows) {
  for (std::int64_t i = 0; i < rows.size(0); ++i) {
    double squares = 0;
    for (std::int64_t c = 0; c < rows.size(1); ++c)
      squares += std::pow(rows.data<double>()[i * rows.size(1) + c], 2);
    EXPECT_NEAR(squares, 1, 1e-9) << "row " << i;
  }
}

Tensor find(const std::vector<NamedTensor>& state, const std::string& name) {
  for (const auto& entry : state)
    if (entry.name == name) return entry.tensor;
  ADD_FAILURE() << name << " is missing";
  return {};
}

TEST(Model, StartsWithUnitQueuesAndEqualEncoders) {
  ContrastiveModel model(small());
  model.initialise(3);
  const auto state = model.state();
  expect_unit_rows(find(state, "queue"));
  expect_unit_rows(find(state, "queue2"));
  EXPECT_NE(find(state, "queue").to_vector<double>(), find(state, "queue2").to_vector<double>());
  for (const auto& [name, variable] : model.parameters())
    test::expect_same_bits(find(state, "encoder_k" + name.substr(std::string("encoder_q").size())),
                           variable.value(), name);
}

TEST(Model, NeckStartsAsTheAuthorsDo) {
  ContrastiveModel model({.arch = "resnet18", .hidden = 64, .queue = 8, .options = kDouble});
  model.initialise(0);
  const auto state = model.state();
  for (const auto v : find(state, "encoder_q.1.mlp.0.bias").to_vector<double>()) EXPECT_EQ(v, 0);
  double largest = 0;
  for (const auto v : find(state, "encoder_q.1.mlp2.0.weight").to_vector<double>())
    largest = std::max(largest, std::abs(v));
  EXPECT_LE(largest, 1 / std::sqrt(512.0));
  EXPECT_GT(largest, 0.99 / std::sqrt(512.0));
  double bias = 0;
  for (const auto v : find(state, "encoder_q.1.mlp2.2.bias").to_vector<double>())
    bias = std::max(bias, std::abs(v));
  EXPECT_LE(bias, 1 / std::sqrt(64.0));
  EXPECT_GT(bias, 0.9 / std::sqrt(64.0));
}

struct Step {
  double loss;
  std::vector<Tensor> grads;
};

Step step_of(Method method, bool bfloat16) {
  ContrastiveModel model(
      {.method = method, .arch = "resnet18", .dim = 32, .hidden = 64, .queue = 100, .bfloat16 = bfloat16});
  model.initialise(1);
  const auto view = [](std::uint64_t seed) { return pictures(seed).to(tensor::DType::float32); };
  const auto out = model.forward(view(1), view(2), kInOrder, Tensor::scalar(0.5));
  EXPECT_EQ(out.keys.dtype(), tensor::DType::float32);
  backward(out.loss);
  Step step{out.loss.value().item(), {}};
  for (const auto& [name, parameter] : model.parameters()) {
    EXPECT_EQ(parameter.grad().dtype(), tensor::DType::float32) << name;
    step.grads.push_back(parameter.grad());
  }
  return step;
}

// Rounding to 8 bits moves the loss by about a percent, more or less with the order of sums (0.3 to 0.6 % by
// vectors, 0.7 to 1.3 % by tiles of AMX, emulated or not), and turns the gradient a little: PyTorch's
// autocast gives cosines of 0.935 for a ResNet-18 and batch norm over four pictures, 0.13 for a ResNet-50.
TEST(Model, Bfloat16StepIsCloseToTheFloat32One) {
  for (const auto method : {Method::densecl, Method::mocov2}) {
    const Step exact = step_of(method, false);
    const Step rounded = step_of(method, true);
    EXPECT_NEAR(rounded.loss, exact.loss, 0.02 * exact.loss);
    EXPECT_NE(rounded.loss, exact.loss);
    double product = 0;
    double exact_square = 0;
    double rounded_square = 0;
    for (std::size_t i = 0; i < exact.grads.size(); ++i)
      for (std::int64_t j = 0; j < exact.grads[i].numel(); ++j) {
        const double a = static_cast<double>(exact.grads[i].data<float>()[j]);
        const double b = static_cast<double>(rounded.grads[i].data<float>()[j]);
        product += a * b;
        exact_square += a * a;
        rounded_square += b * b;
      }
    EXPECT_GT(product / std::sqrt(exact_square * rounded_square), 0.9);
  }
}

TEST(Model, Bfloat16WantsFloat32Parameters) {
  test::expect_error(
      [] { ContrastiveModel({.arch = "resnet18", .queue = 8, .options = kDouble, .bfloat16 = true}); },
      {"model", "bfloat16", "float64"});
}

TEST(Model, WithoutGroupsTheOrderOfTheKeysDoesNotMatter) {
  ContrastiveModel model(small());
  model.initialise(1);
  const auto straight = model.forward(pictures(1), pictures(2), kInOrder, kHalf);
  const auto shuffled = model.forward_more(pictures(1), pictures(2), order({2, 0, 3, 1}), kHalf);
  test::expect_close(shuffled.keys, straight.keys, {1e-8, 1e-10});
  test::expect_close(shuffled.dense_keys, straight.dense_keys, {1e-8, 1e-10});
  EXPECT_EQ(shuffled.match.to_vector<std::int64_t>(), straight.match.to_vector<std::int64_t>());
}

TEST(Model, WithGroupsItDoes) {
  ModelOptions options = small();
  options.bn_groups = 2;
  ContrastiveModel model(options);
  model.initialise(1);
  const auto straight = model.forward(pictures(1), pictures(2), kInOrder, kHalf);
  const auto shuffled = model.forward_more(pictures(1), pictures(2), order({2, 0, 3, 1}), kHalf);
  EXPECT_GT(std::abs(straight.loss_global.item() - shuffled.loss_global.item()), 1e-6);
}

TEST(Model, TotalIsTheWeightedSum) {
  ContrastiveModel model(small());
  model.initialise(1);
  for (const double lambda : {0.0, 0.3, 1.0}) {
    const auto out = model.forward_more(pictures(1), pictures(2), kInOrder, Tensor::scalar(lambda, kDouble));
    EXPECT_NEAR(out.loss.value().item(),
                (1 - lambda) * out.loss_global.item() + lambda * out.loss_dense.item(), 1e-12);
  }
}

TEST(Model, KeyEncoderFollowsByTheMomentumAndOnlyOnceABatch) {
  ModelOptions options = small(Method::mocov2);
  options.momentum = 0.75;
  ContrastiveModel model(options);
  model.initialise(1);
  const std::string name = "0.layer1.0.conv1.weight";
  Tensor query = find(model.state(), "encoder_q." + name);
  query.fill(4.0);
  Tensor key = find(model.state(), "encoder_k." + name);
  key.fill(0.0);
  model.forward(pictures(1), pictures(2), kInOrder, kHalf);
  test::expect_close(key, Tensor::full(key.shape(), 1.0, kDouble));
  model.forward_more(pictures(1), pictures(2), kInOrder, kHalf);
  test::expect_close(key, Tensor::full(key.shape(), 1.0, kDouble));
}

TEST(Model, QueueTakesTheKeysAndWraps) {
  ContrastiveModel model(small());
  model.initialise(1);
  for (int step = 0; step < 3; ++step) {
    const auto out = model.forward(pictures(1), pictures(2), kInOrder, kHalf);
    expect_unit_rows(out.keys);
    expect_unit_rows(out.dense_keys);
    model.enqueue(out.keys, out.dense_keys);
    if (step < 2) continue;
    const auto state = model.state();
    EXPECT_EQ(find(state, "queue_ptr").item(), 2);  // 12 keys in a ring of 10
    test::expect_same_bits(find(state, "queue").rows(8, 10), out.keys.rows(0, 2));
    test::expect_same_bits(find(state, "queue2").rows(0, 2), out.dense_keys.rows(2, 4));
  }
  EXPECT_DOUBLE_EQ(model.queue_fill(0, 4), 0);
  EXPECT_DOUBLE_EQ(model.queue_fill(1, 4), 0.4);
  EXPECT_DOUBLE_EQ(model.queue_fill(3, 4), 1);
}

// One batch again and again, against queues that hold nothing of it: the loss has to fall far.
TEST(Model, LearnsToTellABatchApart) {
  ContrastiveModel model(small());
  model.initialise(1);
  optim::Sgd sgd(model.parameters(), {.momentum = 0.9});
  const Tensor lr = Tensor::scalar(0.05, kDouble);
  double first = 0;
  double last = 0;
  for (int step = 0; step < 12; ++step) {
    const auto out = model.forward(pictures(1), pictures(2), kInOrder, kHalf);
    sgd.zero_grad();
    autograd::backward(out.loss);
    sgd.step(lr);
    (step == 0 ? first : last) = out.loss.value().item();
  }
  EXPECT_LT(last, 0.6 * first);
}

TEST(Model, RefusesOptionsAndBatchesThatDoNotFit) {
  const auto with = [](auto change) {
    ModelOptions options = small();
    change(options);
    return [options] { const ContrastiveModel model(options); };
  };
  test::expect_error(with([](auto& o) { o.queue = 0; }), {"queue is 0"});
  test::expect_error(with([](auto& o) { o.temperature = 0; }), {"temperature"});
  test::expect_error(with([](auto& o) { o.momentum = 1.5; }), {"momentum", "1.5"});
  test::expect_error(with([](auto& o) { o.num_grid = 0; }), {"num_grid"});
  ContrastiveModel model(small());
  model.initialise(0);
  test::expect_error([&] { model.forward(pictures(1), pictures(2, 3), kInOrder, kHalf); },
                     {"key_view", "[4,64,64,3]"});
  test::expect_error([&] { model.forward(pictures(1), pictures(2), order({0, 1}), kHalf); },
                     {"permutation", "[4]"});
}

TEST(StateFile, FileLayoutThereAndBack) {
  ContrastiveModel model(small());
  model.initialise(5);
  auto file = to_file_layout(model.state());
  EXPECT_EQ(find(file, "queue").shape(), (tensor::Shape{8, 10}));
  EXPECT_EQ(find(file, "encoder_q.0.conv1.weight").shape(), (tensor::Shape{64, 3, 7, 7}));
  ContrastiveModel other(small());
  other.initialise(6);
  load_file_state(other, file);
  const auto expected = model.state();
  const auto loaded = other.state();
  for (std::size_t i = 0; i < loaded.size(); ++i)
    test::expect_same_bits(loaded[i].tensor, expected[i].tensor, loaded[i].name);
}

TEST(StateFile, RefusesWhatDoesNotFitAndChangesNothing) {
  ContrastiveModel model(small());
  model.initialise(5);
  const auto before = find(model.state(), "encoder_q.0.conv1.weight").to_vector<double>();
  ContrastiveModel other(small());
  other.initialise(6);
  auto file = to_file_layout(other.state());
  file.back() = {"queue2_ptr", Tensor::zeros({2}, {tensor::DType::int64, {}})};
  test::expect_error([&] { load_file_state(model, file); }, {"queue2_ptr", "[2]", "[1]"});
  file.pop_back();
  test::expect_error([&] { load_file_state(model, file); }, {"queue2_ptr", "missing"});
  EXPECT_EQ(find(model.state(), "encoder_q.0.conv1.weight").to_vector<double>(), before);
}

}  // namespace
}  // namespace dcl::densecl
