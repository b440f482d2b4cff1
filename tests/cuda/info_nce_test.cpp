#include "tensor/ops/info_nce.h"

#include <cmath>
#include <string>

#include "autograd/ops.h"
#include "tests/cuda/cuda_rows.h"

namespace dcl::test {
namespace {

using tensor::DType;
using tensor::InfoNceParams;
using tensor::InfoNceResult;
namespace cpu = tensor::cpu;
namespace cuda = tensor::cuda;

struct Row {
  std::string name;
  std::int64_t rows;      // M
  std::int64_t keys;      // K
  std::int64_t channels;  // C
  double temperature = 0.2;
};

// Tiles are of 64 or 128 queries by 64 keys, in steps of 16 channels, 64 or 128 at a time.
const std::vector<Row>& rows() {
  static const std::vector<Row> all{{"one of each", 1, 1, 1, 1},
                                    {"no keys", 3, 0, 4},
                                    {"one row", 1, 40, 8},
                                    {"one key", 5, 1, 6},
                                    {"odd sizes", 7, 33, 5, 0.07},
                                    {"one channel", 4, 19, 1, 0.5},
                                    {"whole tiles", 64, 128, 16},
                                    {"several blocks of rows", 131, 200, 9},
                                    {"several parts, one with a rest", 16, 1100, 33},
                                    {"all channels of the tensor cores", 33, 150, 128},
                                    {"more of them", 5, 70, 131}};
  return all;
}

struct Inputs {
  Tensor query, positive, queue;

  Inputs to(DType type) const { return {query.to(type), positive.to(type), queue.to(type)}; }
};

Tensor unit_rows(const Shape& shape, std::uint64_t seed) {
  const Tensor x = random_tensor(shape, seed);
  return x.numel() == 0 ? x : autograd::normalize(x).value();
}

Inputs inputs_of(const Row& row) {
  return {unit_rows({row.rows, row.channels}, 1), unit_rows({row.rows, row.channels}, 2),
          unit_rows({row.keys, row.channels}, 3)};
}

InfoNceResult on_cpu(const Inputs& in, const InfoNceParams& params) {
  return cpu::info_nce(in.query, in.positive, in.queue, params, true);
}

InfoNceResult run(const Inputs& in, const InfoNceParams& params, bool want_grad = true) {
  const PoisonedMemory poisoned;
  const auto result =
      cuda::info_nce(on_device(in.query), on_device(in.positive), on_device(in.queue), params, want_grad);
  return {to_host(result.loss), to_host(result.top1), to_host(result.grad_query)};
}

void expect_same(const InfoNceResult& actual, const InfoNceResult& expected, Tolerance loss,
                 Tolerance gradient) {
  EXPECT_EQ(actual.loss.dtype(), expected.loss.dtype());
  expect_close(actual.loss, expected.loss, loss, "loss");
  expect_close(actual.top1, expected.top1, {1e-6, 0}, "top1");
  expect_close(actual.grad_query, expected.grad_query, gradient, "dq");
}

TEST(CudaInfoNce, IsTheCpus) {
  DCL_NEEDS_DEVICE();
  for (const Row& row : rows()) {
    SCOPED_TRACE(row.name);
    const InfoNceParams params{.temperature = row.temperature};
    const Inputs in = inputs_of(row);
    const InfoNceResult actual = run(in, params);
    expect_same(actual, on_cpu(in, params), {1e-12, 1e-13}, {1e-11, 1e-14});
    const InfoNceResult without = run(in, params, false);
    expect_same_bits(without.loss, actual.loss, "loss without gradient");
    expect_same_bits(without.top1, actual.top1, "top1 without gradient");
    EXPECT_FALSE(without.grad_query.defined());
    const Inputs narrow = in.to(DType::float32);
    expect_same(run(narrow, params), on_cpu(narrow, params), {2e-6, 2e-6}, {1e-5, 1e-6});
  }
}

TEST(CudaInfoNce, Bfloat16ProductsAreTheCpus) {
  DCL_NEEDS_DEVICE();
  for (const Row& row : rows()) {
    SCOPED_TRACE(row.name);
    const InfoNceParams params{.temperature = row.temperature, .bfloat16_products = true};
    const Inputs in = inputs_of(row).to(DType::float32);
    const InfoNceResult actual = run(in, params);
    // The softmax weights are rounded relative to another number than the CPU's.
    const double size = 1 / (row.temperature * static_cast<double>(row.rows));
    expect_same(actual, on_cpu(in, params), {1e-5, 1e-5}, {1.6e-2, 4e-3 * size});
    const InfoNceResult without = run(in, params, false);
    expect_same_bits(without.loss, actual.loss, "loss without gradient");
    EXPECT_FALSE(without.grad_query.defined());
  }
}

// Each key is nearer than the one before, then each farther, and all logits are beyond what exp() can take.
TEST(CudaInfoNce, MaximumMovesAndLogitsAreLarge) {
  DCL_NEEDS_DEVICE();
  const std::int64_t keys = 600;
  Inputs in{random_tensor({2, 3}, 1, {5, 6}), random_tensor({2, 3}, 2, {5, 6}), random_tensor({keys, 3}, 3)};
  for (std::int64_t j = 0; j < keys; ++j)
    for (std::int64_t c = 0; c < 3; ++c) in.queue.data<double>()[j * 3 + c] += 5.0 + double(j) / double(keys);
  for (const bool backwards : {false, true}) {
    if (backwards)
      for (std::int64_t j = 0; j < keys * 3; ++j) in.queue.data<double>()[j] *= -1;
    const InfoNceParams params{.temperature = 0.05};
    expect_same(run(in, params), on_cpu(in, params), {1e-11, 1e-11}, {1e-9, 1e-11});
    const InfoNceParams narrow{.temperature = 0.05, .bfloat16_products = true};
    const Inputs rounded = in.to(DType::float32);
    expect_same(run(rounded, narrow), on_cpu(rounded, narrow), {1e-5, 1e-3}, {1.6e-2, 1e-1});
  }
}

// The positive stands out: 1 − e^(l0 − L) is far below one ulp of 1, but the gradient is not 0.
TEST(CudaInfoNce, TinyLossKeepsItsDigits) {
  DCL_NEEDS_DEVICE();
  const Inputs in{Tensor::from<double>({3, 0}, {1, 2}), Tensor::from<double>({1, 0}, {1, 2}),
                  Tensor::from<double>({-1, 0, 0, 1}, {2, 2})};
  const auto out = run(in, {.temperature = 0.05});  // l0 = 60, l = −60, 0
  const double small = std::exp(-60.0);
  expect_close(out.loss, Tensor::full({1}, small, in.query.options()), {1e-12, 0}, "loss");
  expect_close(out.grad_query, Tensor::from<double>({-20 * small, 20 * small}, {1, 2}), {1e-12, 0}, "dq");
}

// Numbers whose products are exact in any order: a negative that equals the positive is a miss.
TEST(CudaInfoNce, Top1IsStrict) {
  DCL_NEEDS_DEVICE();
  for (const bool bfloat16_products : {false, true}) {
    const InfoNceParams params{.temperature = 0.07, .bfloat16_products = bfloat16_products};
    const Inputs in =
        Inputs{Tensor::full({4, 2}, 1, {DType::float64, {}}), Tensor::full({4, 2}, 0.5, {DType::float64, {}}),
               Tensor::zeros({300, 2}, {DType::float64, {}})}
            .to(DType::float32);
    EXPECT_EQ(run(in, params).top1.item(), 1.0);
    Tensor last = in.queue.rows(299, 300);
    last.fill(0.5);
    EXPECT_EQ(run(in, params).top1.item(), 0.0);
  }
}

TEST(CudaInfoNce, NanIsNotLost) {
  DCL_NEEDS_DEVICE();
  for (const bool bfloat16_products : {false, true})
    for (const int which : {0, 1, 2}) {
      auto in = inputs_of({"", 3, 203, 5}).to(DType::float32);
      Tensor& hit = which == 0 ? in.query : which == 1 ? in.positive : in.queue;
      hit.data<float>()[hit.numel() - 2] = NAN;
      EXPECT_TRUE(std::isnan(run(in, {.bfloat16_products = bfloat16_products}).loss.item())) << which;
    }
}

TEST(CudaInfoNce, Errors) {
  DCL_NEEDS_DEVICE();
  const auto in = inputs_of({"", 3, 6, 4});
  expect_error([&] { run({in.query, in.positive, random_tensor({6, 5})}, {}); },
               {"queue has 5 channels, query has 4"});
  expect_error([&] { run(in, {.bfloat16_products = true}); }, {"info_nce", "query", "float32", "float64"});
  expect_error([&] { run(in, {.temperature = 0}); }, {"temperature is 0"});
}

}  // namespace
}  // namespace dcl::test
