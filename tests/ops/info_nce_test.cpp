#include "tensor/ops/info_nce.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "autograd/ops.h"
#include "tensor/cpu/threads.h"
#include "tensor/ops/elementwise.h"
#include "tests/ops/op_table.h"
#include "tests/support/tile_paths.h"

namespace dcl::test {
namespace {

using tensor::DType;
using tensor::InfoNceResult;

struct Row {
  std::string name;
  std::int64_t rows;      // M
  std::int64_t keys;      // K
  std::int64_t channels;  // C
  double temperature = 0.2;
};

const std::vector<Row> kSmall = {
    {"one of each", 1, 1, 1, 1},    {"no keys", 3, 0, 4},          {"one row", 1, 40, 8},
    {"one key", 5, 1, 6},           {"odd sizes", 7, 33, 5, 0.07}, {"one channel", 4, 19, 1, 0.5},
    {"several blocks", 3, 1100, 3},
};

// Enough for several blocks of queries, several parts and a rest of each.
const std::vector<Row> kLarge = {
    {"blocks of rows", 131, 700, 9}, {"parts of the queue", 16, 8197, 33}, {"both", 257, 4099, 7}};

struct Inputs {
  Tensor query;
  Tensor positive;
  Tensor queue;
};

Tensor unit_rows(const Shape& shape, std::uint64_t seed) {
  Tensor x = random_tensor(shape, seed);
  return x.numel() == 0 ? x : autograd::normalize(x).value();
}

Inputs inputs_of(const Row& row) {
  return {unit_rows({row.rows, row.channels}, 1), unit_rows({row.rows, row.channels}, 2),
          unit_rows({row.keys, row.channels}, 3)};
}

Inputs to(const Inputs& in, DType dtype) {
  return {in.query.to(dtype), in.positive.to(dtype), in.queue.to(dtype)};
}

InfoNceResult run(const Inputs& in, double temperature, bool want_grad = true) {
  return tensor::cpu::info_nce(in.query, in.positive, in.queue, {.temperature = temperature}, want_grad);
}

double dot(const Tensor& a, std::int64_t i, const Tensor& b, std::int64_t j) {
  const std::int64_t n = a.size(1);
  const double* from = a.data<double>() + i * n;
  const double* with = b.data<double>() + j * n;
  double sum = 0;
  for (std::int64_t c = 0; c < n; ++c) sum += from[c] * with[c];
  return sum;
}

// The definition, with all logits of a row at hand: cross entropy against class 0, and its gradient.
InfoNceResult naive(const Inputs& in, double temperature) {
  const std::int64_t rows = in.query.size(0);
  const std::int64_t keys = in.queue.size(0);
  const std::int64_t channels = in.query.size(1);
  InfoNceResult out{{}, {}, tensor::zeros_like(in.query)};
  double loss = 0;
  double hits = 0;
  for (std::int64_t i = 0; i < rows; ++i) {
    std::vector<double> logits{dot(in.query, i, in.positive, i) / temperature};
    for (std::int64_t j = 0; j < keys; ++j) logits.push_back(dot(in.query, i, in.queue, j) / temperature);
    const double largest = *std::max_element(logits.begin(), logits.end());
    double sum = 0;
    for (const double logit : logits) sum += std::exp(logit - largest);
    loss += (std::log(sum) + largest - logits[0]) / double(rows);
    hits += keys == 0 || logits[0] > *std::max_element(logits.begin() + 1, logits.end()) ? 1 : 0;
    double* grad = out.grad_query.data<double>() + i * channels;
    for (std::int64_t j = 0; j <= keys; ++j) {
      const double p = std::exp(logits[std::size_t(j)] - largest) / sum - (j == 0 ? 1 : 0);
      const double* key =
          j == 0 ? in.positive.data<double>() + i * channels : in.queue.data<double>() + (j - 1) * channels;
      for (std::int64_t c = 0; c < channels; ++c) grad[c] += p * key[c] / temperature / double(rows);
    }
  }
  out.loss = Tensor::scalar(loss, in.query.options());
  out.top1 = Tensor::scalar(hits / double(rows), in.query.options());
  return out;
}

TEST(InfoNce, ValuesAndGradientFromTheDefinition) {
  for (const auto* table : {&kSmall, &kLarge}) {
    for (const auto& row : *table) {
      SCOPED_TRACE(row.name);
      const auto in = inputs_of(row);
      const auto expected = naive(in, row.temperature);
      const auto actual = run(in, row.temperature);
      expect_close(actual.loss, expected.loss, {1e-12, 1e-13}, "loss");
      expect_close(actual.top1, expected.top1, {1e-15, 0}, "top1");
      expect_close(actual.grad_query, expected.grad_query, {1e-11, 1e-14}, "dq");
      const auto without = run(in, row.temperature, false);
      expect_same_bits(without.loss, actual.loss, "loss without gradient");
      EXPECT_FALSE(without.grad_query.defined());
    }
  }
}

TEST(InfoNce, FloatStaysCloseToDouble) {
  for (const auto* table : {&kSmall, &kLarge}) {
    for (const auto& row : *table) {
      SCOPED_TRACE(row.name);
      const auto in = to(inputs_of(row), DType::float32);
      const auto expected = naive(to(in, DType::float64), row.temperature);
      const auto actual = run(in, row.temperature);
      EXPECT_EQ(actual.loss.dtype(), DType::float32);
      expect_close(actual.loss, expected.loss, {2e-6, 2e-6}, "loss");
      expect_close(actual.top1, expected.top1, {1e-6, 0}, "top1");
      expect_close(actual.grad_query, expected.grad_query, {1e-5, 1e-6}, "dq");
    }
  }
}

TEST(InfoNce, Gradients) {
  for (const auto& row : kSmall) {
    const auto in = inputs_of(row);
    run_gradcheck("info_nce", row.name,
                  [&](const std::vector<Variable>& v) {
                    return info_nce(v[0], in.positive, in.queue, {.temperature = row.temperature}).loss;
                  },
                  {in.query});
  }
}

// The largest logit is in the last block, each block's is larger than the one before, and both lie far beyond
// what exp() can take: the sums are rescaled on the way.
TEST(InfoNce, MaximumMovesAndLogitsAreLarge) {
  const std::int64_t keys = 1800;
  Inputs in{random_tensor({2, 3}, 1, {5, 6}), random_tensor({2, 3}, 2, {5, 6}), random_tensor({keys, 3}, 3)};
  for (std::int64_t j = 0; j < keys; ++j)
    for (std::int64_t c = 0; c < 3; ++c) in.queue.data<double>()[j * 3 + c] += 5.0 + double(j) / double(keys);
  for (const bool backwards : {false, true}) {
    if (backwards)
      for (std::int64_t j = 0; j < keys * 3; ++j) in.queue.data<double>()[j] *= -1;
    const auto expected = naive(in, 0.05);
    const auto actual = run(in, 0.05);
    expect_close(actual.loss, expected.loss, {1e-11, 1e-11}, "loss");
    expect_close(actual.grad_query, expected.grad_query, {1e-9, 1e-11}, "dq");
  }
}

// The positive stands out: 1 − e^(l0 − L) is far below one ulp of 1, but the gradient is not 0.
TEST(InfoNce, TinyLossKeepsItsDigits) {
  const Inputs in{Tensor::from<double>({3, 0}, {1, 2}), Tensor::from<double>({1, 0}, {1, 2}),
                  Tensor::from<double>({-1, 0, 0, 1}, {2, 2})};
  const auto out = run(in, 0.05);  // l0 = 60, l = −60, 0
  const double small = std::exp(-60.0);
  expect_close(out.loss, Tensor::full({1}, small, in.query.options()), {1e-12, 0}, "loss");
  expect_close(out.grad_query, Tensor::from<double>({-20 * small, 20 * small}, {1, 2}), {1e-12, 0}, "dq");
}

// Numbers whose products are exact in any order: a negative that equals the positive is a miss.
TEST(InfoNce, Top1IsStrict) {
  for (const auto dtype : {DType::float32, DType::float64}) {
    Inputs in{Tensor::full({4, 2}, 1), Tensor::full({4, 2}, 0.5), Tensor::zeros({700, 2})};
    in = to(in, dtype);
    EXPECT_EQ(run(in, 0.07).top1.item(), 1.0);
    Tensor last = in.queue.rows(699, 700);
    last.fill(0.5);
    EXPECT_EQ(run(in, 0.07).top1.item(), 0.0);
  }
}

TEST(InfoNce, NanIsNotLost) {
  for (const int which : {0, 1, 2}) {
    auto in = to(inputs_of({"", 3, 1203, 5}), DType::float32);
    Tensor& hit = which == 0 ? in.query : which == 1 ? in.positive : in.queue;
    hit.data<float>()[hit.numel() - 2] = NAN;
    EXPECT_TRUE(std::isnan(run(in, 0.2).loss.item())) << which;
  }
}

TEST(InfoNce, BitsDoNotDependOnThreads) {
  const auto in = to(inputs_of({"", 150, 5000, 16}), DType::float32);
  const int before = tensor::cpu::num_threads();
  tensor::cpu::set_num_threads(1);
  const auto one = run(in, 0.2);
  tensor::cpu::set_num_threads(5);
  const auto five = run(in, 0.2);
  tensor::cpu::set_num_threads(before);
  expect_same_bits(five.loss, one.loss, "loss");
  expect_same_bits(five.grad_query, one.grad_query, "dq");
}

TEST(InfoNce, Errors) {
  const auto in = inputs_of({"", 3, 6, 4});
  const auto call = [](const Inputs& with, double temperature = 0.2) {
    return [with, temperature] { run(with, temperature); };
  };
  expect_error(call({in.query, random_tensor({2, 4}), in.queue}), {"info_nce", "positive", "[2,4]", "[3,4]"});
  expect_error(call({in.query, in.positive, random_tensor({6, 5})}), {"queue has 5 channels, query has 4"});
  expect_error(call({in.query, in.positive, in.queue.to(DType::float32)}), {"queue", "float32", "float64"});
  expect_error(call({random_tensor({0, 4}), random_tensor({0, 4}), in.queue}), {"query", "[0,4]"});
  expect_error(call({random_tensor({4}), random_tensor({4}), in.queue}), {"query", "[4]"});
  expect_error(call(in, 0), {"temperature is 0"});
  expect_error(call(in, NAN), {"temperature is nan"});
}

// Numbers rounded as the op says, in float64 otherwise: the queries times 1/T, the positives and the queue.
Inputs rounded_inputs(const Inputs& in, double temperature) {
  const auto rounded = [](const Tensor& x) { return x.to(DType::bfloat16).to(DType::float64); };
  const double factor = static_cast<double>(static_cast<float>(1 / temperature));
  const Tensor scaled = tensor::cpu::scale(in.query, factor);
  return {tensor::cpu::scale(rounded(scaled), temperature), rounded(in.positive), rounded(in.queue)};
}

// Loss, gradient and top1 by tile products against the definition in float64 on the numbers as they round.
void expect_tile_products(const Inputs& from, double temperature, bool bfloat16_products,
                          const std::string& what) {
  const Inputs in = to(from, DType::float32);
  const Inputs reference = bfloat16_products ? rounded_inputs(in, temperature) : to(in, DType::float64);
  const auto call = [&](bool want_grad) {
    return tensor::cpu::info_nce(in.query, in.positive, in.queue,
                                 {.temperature = temperature, .bfloat16_products = bfloat16_products},
                                 want_grad);
  };
  const auto actual = call(true);
  const auto expected = run(reference, temperature);
  expect_close(actual.loss, expected.loss, {1e-5, 1e-5}, what + ": loss");
  expect_close(actual.top1, expected.top1, {1e-6, 0}, what + ": top1");
  // The softmax weights are rounded, and the gradient has the positive as it was.
  const double size = 1 / (temperature * static_cast<double>(in.query.size(0)));
  const Tolerance tolerance = bfloat16_products ? Tolerance{1e-2, 4e-3 * size} : Tolerance{1e-4, 1e-5 * size};
  expect_close(actual.grad_query, expected.grad_query, tolerance, what + ": gradient");
  expect_same_bits(call(false).loss, actual.loss, what + ": loss without gradient");
}

// On every path in bfloat16, and in float32 where that goes by tiles: with AMX, of 128 queries and more. Else
// it goes by vectors, which the other tests are of.
void expect_on_every_tile_path(const Inputs& in, double temperature, const std::string& what) {
  on_every_tile_path([&](const std::string& path) {
    expect_tile_products(in, temperature, true, path + ", " + what + ", bfloat16");
    const auto used = tensor::cpu::tile_path();
    const bool amx = used == tensor::cpu::TilePath::amx || used == tensor::cpu::TilePath::amx_emulated;
    if (amx && in.query.size(0) >= 128)
      expect_tile_products(in, temperature, false, path + ", " + what + ", float32");
  });
}

TEST(InfoNce, ByTilesOnEveryPath) {
  const std::vector<Row> many = {{"one key of many rows", 130, 1, 6},
                                 {"a part of a tile", 128, 45, 40},
                                 {"no keys of many rows", 129, 0, 4},
                                 {"one channel of many rows", 133, 70, 1, 0.5},
                                 {"odd sizes of many rows", 161, 1100, 5, 0.07},
                                 {"cold", 140, 1500, 32, 0.02}};
  for (const auto* rows : {&kSmall, &kLarge, &many})
    for (const Row& row : *rows) expect_on_every_tile_path(inputs_of(row), row.temperature, row.name);
}

// Scores grow from key to key: by so much within a block that weights relative to what was before would leave
// the range of numbers, by less, or not at all. Queries of either sign, so that some shrink instead.
TEST(InfoNce, ByTilesAsScoresGrow) {
  const std::int64_t rows = 130;
  const std::int64_t keys = 1800;
  for (const double growth : {0.0, 3.0, 30.0, 300.0, 1000.0}) {
    Inputs in{random_tensor({rows, 2}, 1, {1, 2}), random_tensor({rows, 2}, 2),
              Tensor::zeros({keys, 2}, {DType::float64, {}})};
    for (std::int64_t i = 0; i < rows * 2; i += 3) in.query.data<double>()[i] *= -1;
    for (std::int64_t j = 0; j < keys; ++j) {
      in.queue.data<double>()[j * 2] = growth * double(j) / double(keys);
      in.queue.data<double>()[j * 2 + 1] = j % 7 == 0 ? 0.5 : -0.25;
    }
    expect_on_every_tile_path(in, 1, "growth of " + std::to_string(growth));
  }
}

TEST(InfoNce, ByTilesNoNanIsLost) {
  on_every_tile_path([](const std::string& path) {
    for (const bool bfloat16_products : {true, false})
      for (const std::int64_t at : {0, 5, 700 * 5 + 1, 1203 * 5 - 2}) {
        auto in = to(inputs_of({"", 130, 1203, 5}), DType::float32);
        in.queue.data<float>()[at] = NAN;
        const auto out = tensor::cpu::info_nce(in.query, in.positive, in.queue,
                                               {.bfloat16_products = bfloat16_products}, true);
        EXPECT_TRUE(std::isnan(out.loss.item())) << path << ", " << at;
        for (std::int64_t row = 0; row < 130; ++row)
          EXPECT_TRUE(std::isnan(out.grad_query.data<float>()[row * 5 + at % 5])) << path << ", " << at;
      }
  });
}

// A key whose scores are -infinity weighs nothing.
TEST(InfoNce, ByTilesOfMinusInfinity) {
  on_every_tile_path([](const std::string& path) {
    auto in = to(inputs_of({"", 37, 1203, 1, 1}), DType::float32);
    for (std::int64_t i = 0; i < 37; ++i) in.query.data<float>()[i] = 1;
    const auto loss = [&] {
      return tensor::cpu::info_nce(in.query, in.positive, in.queue, {.bfloat16_products = true}, false).loss;
    };
    for (const std::int64_t at : {0, 700, 1202}) {
      float& key = in.queue.data<float>()[at];
      key = -3e38F / 5;  // a score of -3e38 at temperature 0.2
      const Tensor expected = loss();
      EXPECT_TRUE(std::isfinite(expected.item())) << path;
      key = -INFINITY;
      expect_same_bits(loss(), expected, path);
      key = -1;
    }
  });
}

TEST(InfoNce, TilesDoNotDependOnThreads) {
  const int before = tensor::cpu::num_threads();
  const Row& row = kLarge.back();
  const Inputs in = to(inputs_of(row), DType::float32);
  const auto at = [&](int threads) {
    tensor::cpu::set_num_threads(threads);
    return tensor::cpu::info_nce(in.query, in.positive, in.queue, {.bfloat16_products = true}, true);
  };
  const auto one = at(1);
  const auto three = at(3);
  tensor::cpu::set_num_threads(before);
  expect_same_bits(one.loss, three.loss, "loss");
  expect_same_bits(one.grad_query, three.grad_query, "gradient");
}

TEST(InfoNce, Bfloat16ProductsAreOfFloat32) {
  const Inputs in = inputs_of(kSmall.front());
  expect_error(
      [&] { tensor::cpu::info_nce(in.query, in.positive, in.queue, {.bfloat16_products = true}, true); },
      {"info_nce", "query", "float32", "float64"});
}

}  // namespace
}  // namespace dcl::test
