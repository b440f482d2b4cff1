#include "tensor/ops/sgd_update.h"

#include "tests/cuda/cuda_rows.h"

namespace dcl::test {
namespace {

using tensor::DType;
using tensor::SgdEntry;
using tensor::SgdParams;
namespace cpu = tensor::cpu;
namespace cuda = tensor::cuda;

// No PoisonedMemory here: the op works in place and makes no tensors.

Tensor own_on_device(const Tensor& x) { return x.defined() ? on_device(x.clone()) : x; }

// Small, empty, and of several chunks; one that begins in the middle of a pack; then more than one launch
// takes. Every third takes its first step, every fifth is of the other type.
std::vector<SgdEntry> entries_of(DType type, bool momentum) {
  std::vector<Shape> shapes{{3}, {0}, {17001}, {5, 7}, {2, 9000}, {1}, {4096}};
  while (shapes.size() < 230) shapes.push_back({static_cast<std::int64_t>(shapes.size()) % 40, 3});
  std::vector<SgdEntry> entries;
  for (const Shape& shape : shapes) {
    const std::size_t i = entries.size();
    const DType other = type == DType::float32 ? DType::float64 : DType::float32;
    const auto random = [&](std::uint64_t seed) {
      return random_tensor(shape, 3 * i + seed).to(i % 5 == 4 ? other : type);
    };
    entries.push_back({random(0), random(1), momentum ? random(2) : Tensor(), i % 3 == 0});
    if (i == 6) entries.back().grad = random_tensor({4097}, 7).to(type).rows(1, 4097);
    // What a first step must not read.
    if (momentum && i % 3 == 0) entries.back().momentum_buffer.fill(NAN);
  }
  return entries;
}

TEST(CudaSgdUpdate, IsTheCpus) {
  DCL_NEEDS_DEVICE();
  for (const DType type : {DType::float32, DType::float64})
    for (const DType of_lr : {DType::float32, DType::float64})
      for (const SgdParams& params :
           {SgdParams{}, SgdParams{.weight_decay = 0.01}, SgdParams{.momentum = 0.9, .weight_decay = 0.01},
            SgdParams{.momentum = 0.9, .weight_decay = 0.01, .dampening = 0.2},
            SgdParams{.momentum = 0.9, .nesterov = true}}) {
        const auto expected = entries_of(type, params.momentum != 0);
        std::vector<SgdEntry> actual;
        for (const auto& entry : expected) {
          // The grad's address in the middle of a pack has to stay there.
          const bool inside = entry.grad.numel() == 4096;
          actual.push_back({own_on_device(entry.param),
                            inside ? on_device(random_tensor({4097}, 7).to(type)).rows(1, 4097)
                                   : own_on_device(entry.grad),
                            own_on_device(entry.momentum_buffer), entry.first_step});
        }
        const Tensor lr = Tensor::scalar(0.3, {of_lr, {}});
        cuda::sgd_update(actual, on_device(lr), params);
        cpu::sgd_update(expected, lr, params);
        for (std::size_t i = 0; i < expected.size(); ++i) {
          const Tolerance tolerance = cuda_tolerance(expected[i].param.dtype());
          expect_close(to_host(actual[i].param), expected[i].param, tolerance, "param");
          expect_same_bits(to_host(actual[i].grad), expected[i].grad, "grad");
          if (params.momentum != 0)
            expect_close(to_host(actual[i].momentum_buffer), expected[i].momentum_buffer, tolerance,
                         "momentum_buffer");
        }
      }
}

TEST(CudaSgdUpdate, NothingToDo) {
  DCL_NEEDS_DEVICE();
  const Tensor lr = on_device(Tensor::scalar(0.1));
  cuda::sgd_update({}, lr, {.momentum = 0.9});
  const Tensor none = on_device(Tensor::zeros({0}));
  cuda::sgd_update(std::vector<SgdEntry>{{none, none, {}}}, lr, {});
}

TEST(CudaSgdUpdate, ErrorsAreTheCpus) {
  DCL_NEEDS_DEVICE();
  const auto on = [](const Shape& shape) { return on_device(random_tensor(shape, 1)); };
  const SgdEntry good{on({3}), on({3}), on({3})};
  const Tensor before = to_host(good.param).clone();
  const Tensor lr = on_device(Tensor::scalar(0.1));
  const auto call = [&](const SgdEntry& bad, const Tensor& rate) {
    return [=] { cuda::sgd_update(std::vector<SgdEntry>{good, bad}, rate, {.momentum = 0.9}); };
  };
  expect_error(call({on({3}), on({4}), on({3})}, lr), {"sgd_update", "grad", "[4]", "[3]"});
  expect_error(call({on({3}), on({3}), {}}, lr), {"momentum_buffer"});
  expect_error(call(good, Tensor()), {"lr is undefined"});
  expect_error(call(good, on_device(Tensor::zeros({1}, {DType::int64, {}}))), {"sgd_update", "lr", "int64"});
  expect_same_bits(to_host(good.param), before);
}

}  // namespace
}  // namespace dcl::test
