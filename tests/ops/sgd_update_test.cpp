// Many tensors in one sweep; the formula is held against PyTorch in tests/optim/sgd_test.cpp.
#include "tensor/ops/sgd_update.h"

#include <vector>

#include <gtest/gtest.h>

#include "tensor/cpu/microkernel.h"
#include "tensor/cpu/threads.h"
#include "tests/ops/op_table.h"
#include "tests/support/vector_targets.h"

namespace dcl::test {
namespace {

using tensor::SgdEntry;

TEST(SgdUpdate, ManyTensorsInOneSweep) {
  const std::vector<Shape> shapes = {{3}, {0}, {70001}, {5, 7}, {2, 90000}, {11}};
  const int before = tensor::cpu::num_threads();
  for (const int threads : {1, 3}) {
    tensor::cpu::set_num_threads(threads);
    std::vector<SgdEntry> entries;
    std::vector<Tensor> expected;
    for (const auto& shape : shapes) {
      const auto seed = 3 * entries.size();
      entries.push_back({random_tensor(shape, seed), random_tensor(shape, seed + 1),
                         random_tensor(shape, seed + 2), entries.size() == 3});
      const auto& entry = entries.back();
      expected.push_back(entry.param.clone());
      double* value = expected.back().data<double>();
      const auto gradient = entry.grad.to_vector<double>();
      const auto buffer = entry.momentum_buffer.to_vector<double>();
      for (std::size_t i = 0; i < gradient.size(); ++i) {
        const double g = gradient[i] + 0.01 * value[i];
        value[i] -= 0.3 * (entry.first_step ? g : 0.9 * buffer[i] + g);
      }
    }
    tensor::cpu::sgd_update(entries, Tensor::scalar(0.3, {tensor::DType::float64, {}}),
                            {.momentum = 0.9, .weight_decay = 0.01});
    for (std::size_t i = 0; i < entries.size(); ++i)
      expect_close(entries[i].param, expected[i], {1e-14, 1e-15});
  }
  tensor::cpu::set_num_threads(before);
}

// The sets are named by another kernel, which has one more of them.
TEST(SgdUpdate, BitsAreThoseOfEveryInstructionSet) {
  const auto chosen = [] { return std::string(tensor::cpu::microkernel<float>().target); };
  std::vector<std::vector<Tensor>> all;
  test::on_every_vector_target(chosen, [&](const std::string& /*target*/) {
    auto& results = all.emplace_back();
    for (const auto dtype : {tensor::DType::float32, tensor::DType::float64})
      for (const double momentum : {0.0, 0.9})
        for (const bool first : {false, true})
          for (const bool nesterov : {false, momentum > 0}) {
            const SgdEntry entry{random_tensor({1003}, 1).to(dtype), random_tensor({1003}, 2).to(dtype),
                                 momentum > 0 ? random_tensor({1003}, 3).to(dtype) : Tensor(), first};
            tensor::cpu::sgd_update(std::vector<SgdEntry>{entry}, Tensor::scalar(0.3),
                                    {.momentum = momentum, .weight_decay = 0.01, .nesterov = nesterov});
            results.push_back(entry.param);
            if (momentum > 0) results.push_back(entry.momentum_buffer);
          }
  });
  for (const auto& results : all)
    for (std::size_t i = 0; i < results.size(); ++i) expect_same_bits(results[i], all.front()[i]);
}

TEST(SgdUpdate, ErrorsChangeNothing) {
  const Tensor lr = Tensor::scalar(0.1);
  const SgdEntry good{random_tensor({3}, 1), random_tensor({3}, 2), random_tensor({3}, 3)};
  const Tensor before = good.param.clone();
  const auto call = [&](const SgdEntry& bad, const Tensor& rate) {
    return [=] { tensor::cpu::sgd_update(std::vector<SgdEntry>{good, bad}, rate, {.momentum = 0.9}); };
  };
  expect_error(call({random_tensor({3}), random_tensor({4}), random_tensor({3})}, lr),
               {"grad", "[4]", "[3]"});
  expect_error(call({random_tensor({3}), random_tensor({3}), Tensor::zeros({3})}, lr),
               {"momentum_buffer", "float32"});
  expect_error(call({random_tensor({3}), random_tensor({3}), {}}, lr), {"momentum_buffer"});
  expect_error(call({{}, random_tensor({3}), {}}, lr), {"param is undefined"});
  expect_error(call(good, Tensor()), {"lr is undefined"});
  expect_error(call(good, Tensor::zeros({2})), {"lr is float32 [2]"});
  expect_same_bits(good.param, before);
}

}  // namespace
}  // namespace dcl::test
