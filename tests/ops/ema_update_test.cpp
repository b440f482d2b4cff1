#include "tensor/ops/ema_update.h"

#include <cmath>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tensor/cpu/microkernel.h"
#include "tensor/cpu/threads.h"
#include "tests/ops/op_table.h"
#include "tests/support/vector_targets.h"

namespace dcl::test {
namespace {

using tensor::DType;
using tensor::EmaPair;

// Small, empty and large tensors, so that ranges of threads begin and end inside some and span others.
const std::vector<Shape> kShapes = {{3}, {0}, {70001}, {5, 7}, {1}, {2, 90000}, {11}};

TEST(EmaUpdate, EveryElementOnce) {
  for (const auto dtype : {DType::float64, DType::float32}) {
    const int before = tensor::cpu::num_threads();
    for (const int threads : {1, 3}) {
      tensor::cpu::set_num_threads(threads);
      std::vector<EmaPair> pairs;
      std::vector<Tensor> expected;
      for (const auto& shape : kShapes) {
        const auto seed = pairs.size();
        pairs.push_back({random_tensor(shape, seed).to(dtype), random_tensor(shape, 50 + seed).to(dtype)});
        expected.push_back(pairs.back().target.to(DType::float64).clone());
        const auto source = pairs.back().source.to_vector<double>();
        for (std::size_t i = 0; i < source.size(); ++i) {
          double& value = expected.back().data<double>()[i];
          value = 0.999 * value + 0.001 * source[i];
        }
      }
      tensor::cpu::ema_update(pairs, 0.999);
      const Tolerance tolerance = dtype == DType::float64 ? Tolerance{1e-15, 1e-17} : Tolerance{2e-7, 1e-9};
      for (std::size_t i = 0; i < pairs.size(); ++i) expect_close(pairs[i].target, expected[i], tolerance);
    }
    tensor::cpu::set_num_threads(before);
  }
}

// The sets are named by another kernel, which has one more of them.
TEST(EmaUpdate, BitsAreThoseOfEveryInstructionSet) {
  const auto chosen = [] { return std::string(tensor::cpu::microkernel<float>().target); };
  for (const auto dtype : {DType::float64, DType::float32}) {
    std::vector<Tensor> targets;
    test::on_every_vector_target(chosen, [&](const std::string& /*target*/) {
      targets.push_back(random_tensor({1003}, 1).to(dtype));
      tensor::cpu::ema_update(std::vector<EmaPair>{{targets.back(), random_tensor({1003}, 2).to(dtype)}},
                              0.99);
    });
    for (const auto& each : targets) expect_same_bits(each, targets.front());
  }
}

TEST(EmaUpdate, EndsOfTheRange) {
  const Tensor source = random_tensor({5}, 1);
  Tensor target = random_tensor({5}, 2);
  const Tensor before = target.clone();
  tensor::cpu::ema_update(std::vector<EmaPair>{{target, source}}, 1);
  expect_same_bits(target, before);
  tensor::cpu::ema_update(std::vector<EmaPair>{{target, source}}, 0);
  expect_same_bits(target, source);
}

TEST(EmaUpdate, ErrorsChangeNothing) {
  Tensor good = random_tensor({3}, 1);
  const Tensor before = good.clone();
  const auto call = [&](Tensor target, Tensor source, double m) {
    return [=] {
      tensor::cpu::ema_update(std::vector<EmaPair>{{good, random_tensor({3})}, {target, source}}, m);
    };
  };
  expect_error(call(random_tensor({3}), random_tensor({4}), 0.9), {"ema_update", "source", "[4]", "[3]"});
  expect_error(call(random_tensor({3}), Tensor::zeros({3}), 0.9), {"ema_update", "source", "float32"});
  expect_error(call(Tensor(), random_tensor({3}), 0.9), {"ema_update: target is undefined"});
  expect_error(call(random_tensor({3}), random_tensor({3}), 1.1), {"m is 1.1, expected 0 to 1"});
  expect_error(call(random_tensor({3}), random_tensor({3}), NAN), {"m is nan"});
  expect_same_bits(good, before);
}

}  // namespace
}  // namespace dcl::test
