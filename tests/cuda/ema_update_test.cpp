#include "tensor/ops/ema_update.h"

#include "tests/cuda/cuda_rows.h"

namespace dcl::test {
namespace {

using tensor::DType;
using tensor::EmaPair;
namespace cpu = tensor::cpu;
namespace cuda = tensor::cuda;

// No PoisonedMemory here: the op works in place and makes no tensors.

// Small, empty, and of several chunks; then more than one launch takes. Every fifth is of the other type.
TEST(CudaEmaUpdate, IsTheCpus) {
  DCL_NEEDS_DEVICE();
  std::vector<Shape> shapes{{3}, {0}, {17001}, {5, 7}, {2, 9000}, {1}, {4096}, {4097}};
  while (shapes.size() < 270) shapes.push_back({static_cast<std::int64_t>(shapes.size()) % 40, 3});
  for (const DType type : {DType::float32, DType::float64})
    for (const double m : {0.999, 0.0, 1.0}) {
      std::vector<EmaPair> expected;
      std::vector<EmaPair> actual;
      for (const Shape& shape : shapes) {
        const std::size_t i = expected.size();
        const DType other = type == DType::float32 ? DType::float64 : DType::float32;
        const DType of_pair = i % 5 == 4 ? other : type;
        expected.push_back(
            {random_tensor(shape, 2 * i).to(of_pair), random_tensor(shape, 2 * i + 1).to(of_pair)});
        actual.push_back({on_device(expected.back().target.clone()), on_device(expected.back().source)});
      }
      cuda::ema_update(actual, m);
      cpu::ema_update(expected, m);
      for (std::size_t i = 0; i < expected.size(); ++i) {
        expect_close(to_host(actual[i].target), expected[i].target,
                     cuda_tolerance(expected[i].target.dtype()), "target");
        if (m == 0) expect_same_bits(to_host(actual[i].target), expected[i].source, "target");
      }
    }
}

// One array begins in the middle of a pack: nothing is read or written in packs, and nothing beside it.
TEST(CudaEmaUpdate, AddressesNeedNotBeMultiplesOfAPack) {
  DCL_NEEDS_DEVICE();
  for (const DType type : {DType::float32, DType::float64}) {
    const Tensor start = random_tensor({5003}, 1).to(type);
    const Tensor source = random_tensor({5001}, 2).to(type);
    Tensor whole = on_device(start.clone());
    Tensor expected = start.clone();
    cuda::ema_update(std::vector<EmaPair>{{whole.rows(1, 5002), on_device(source)}}, 0.9);
    cpu::ema_update(std::vector<EmaPair>{{expected.rows(1, 5002), source}}, 0.9);
    expect_close(to_host(whole), expected, cuda_tolerance(type));
  }
}

TEST(CudaEmaUpdate, ErrorsAreTheCpus) {
  DCL_NEEDS_DEVICE();
  const auto on = [](const Shape& shape) { return on_device(random_tensor(shape, 1)); };
  const EmaPair good{on({3}), on({3})};
  const Tensor before = to_host(good.target).clone();
  const auto call = [&](const EmaPair& bad, double m) {
    return [=] { cuda::ema_update(std::vector<EmaPair>{good, bad}, m); };
  };
  expect_error(call({on({3}), on({4})}, 0.9), {"ema_update", "source", "[4]", "[3]"});
  expect_error(call({{}, on({3})}, 0.9), {"ema_update: target is undefined"});
  expect_error(call(good, 1.1), {"m is 1.1, expected 0 to 1"});
  expect_same_bits(to_host(good.target), before);
}

}  // namespace
}  // namespace dcl::test
