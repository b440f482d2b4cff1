// Tensors that travel between host and GPU, are filled and converted there; streams and errors.
#include <cmath>
#include <cstring>
#include <numeric>
#include <thread>
#include <vector>

#include "tensor/cuda/allocator.h"
#include "tensor/cuda/context.h"
#include "tensor/cuda/handles.h"
#include "tensor/cuda/pinned.h"
#include "tests/cuda/gpu_test.h"
#include "tests/ops/op_table.h"

namespace dcl::tensor::cuda {
namespace {

using dcl::test::expect_error;
using dcl::test::expect_same_bits;
using dcl::test::kGpu;
using dcl::test::random_tensor;

const std::vector<DType> kTypes{DType::float32, DType::float64, DType::bfloat16, DType::int64, DType::uint8};

class Transfer : public dcl::test::GpuTest {};

// Exact in all five types.
Tensor small_numbers(Shape shape, DType dtype) {
  std::vector<double> values(static_cast<std::size_t>(shape.numel()));
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<double>(i * 7 % 101);
  return Tensor::from(values, std::move(shape)).to(dtype);
}

// Direct copies end at 64 KiB, pieces at 4 MiB, and the ring of pieces at 16 MiB.
TEST_F(Transfer, ThereAndBackKeepsEveryBit) {
  for (const DType dtype : kTypes)
    for (const std::int64_t bytes : {0LL, 8LL, 24LL, 64LL << 10, (64LL << 10) + 8, (4LL << 20) - 8, 4LL << 20,
                                     (4LL << 20) + 8, (16LL << 20) + 8, 50LL << 20}) {
      const Tensor x = small_numbers({bytes / size_of(dtype)}, dtype);
      const Tensor there = x.to(kGpu);
      EXPECT_EQ(there.device(), kGpu);
      EXPECT_EQ(there.dtype(), dtype);
      expect_same_bits(there.to(Device{}), x, name_of(dtype));
    }
}

TEST_F(Transfer, TheHostMayChangeItsNumbersAsSoonAsTheCopyReturns) {
  Tensor x = Tensor::full({8 << 20}, 1);
  std::vector<Tensor> copies;
  for (int i = 0; i < 4; ++i) {
    x.fill(i);
    copies.push_back(x.to(kGpu));
  }
  for (int i = 0; i < 4; ++i) {
    x.fill(i);
    expect_same_bits(copies[static_cast<std::size_t>(i)].to(Device{}), x);
  }
}

TEST_F(Transfer, RowsAreCopiedFromWhereTheyBegin) {
  const Tensor x = small_numbers({9, 5}, DType::bfloat16);
  Tensor there = x.to(kGpu);
  expect_same_bits(there.rows(3, 8).to(Device{}), x.rows(3, 8));
  there.rows(1, 2).copy_from(x.rows(7, 8));
  expect_same_bits(there.rows(1, 2).to(Device{}), x.rows(7, 8));
  expect_same_bits(there.rows(2, 9).to(Device{}), x.rows(2, 9));
  expect_same_bits(there.rows(0, 1).to(Device{}), x.rows(0, 1));
}

TEST_F(Transfer, WithinTheDeviceAlsoOntoItself) {
  const Tensor x = small_numbers({1000, 3}, DType::float32);
  Tensor there = x.to(kGpu);
  const Tensor copy = there.clone();
  EXPECT_FALSE(copy.shares_with(there));
  expect_same_bits(copy.to(Device{}), x);
  there.copy_from(there);
  expect_same_bits(there.to(Device{}), x);
  there.rows(1, 900).copy_from(there.rows(0, 899));  // as memmove
  expect_same_bits(there.rows(1, 900).to(Device{}), x.rows(0, 899));
  expect_error([&] { there.copy_from(Tensor::zeros({3})); }, {"copy_from: source is [3], expected [1000,3]"});
}

TEST_F(Transfer, ConvertsBetweenAllTypes) {
  for (const DType from : kTypes)
    for (const DType to : kTypes) {
      const std::string what = fmt::format("{} to {}", name_of(from), name_of(to));
      const Tensor x = small_numbers({7, 11}, from);
      const Tensor expected = x.to(to);
      expect_same_bits(x.to(kGpu).to(to).to(Device{}), expected, what);
      Tensor there = Tensor::empty({7, 11}, {to, kGpu});
      there.copy_from(x);
      expect_same_bits(there.to(Device{}), expected, what + " on the way there");
      Tensor here = Tensor::empty({7, 11}, {to, {}});
      here.copy_from(x.to(kGpu));
      expect_same_bits(here, expected, what + " on the way back");
    }
}

TEST_F(Transfer, FillsWithTheNumberOfTheType) {
  poison_new_blocks(true);
  for (const DType dtype : kTypes)
    for (const std::int64_t numel : {0, 1, 3, 255, 257, 100'000, 3'000'000})
      for (const double value : {0.0, 1.0, 3.0, 200.0}) {
        const Tensor expected = Tensor::full({numel}, value, {dtype, {}});
        const Tensor x = Tensor::full({numel}, value, {dtype, kGpu});
        expect_same_bits(x.to(Device{}), expected, fmt::format("{} of {}", value, name_of(dtype)));
      }
  poison_new_blocks(false);
  EXPECT_EQ(Tensor::zeros({3}, {DType::float64, kGpu}).to_vector<double>(), std::vector<double>(3));
  Tensor rows = Tensor::full({5, 3}, 1, {DType::bfloat16, kGpu});  // whose second row is not aligned to words
  rows.rows(1, 2).fill(0.5);
  EXPECT_EQ(rows.to_vector<float>(), (std::vector<float>{1, 1, 1, 0.5, 0.5, 0.5, 1, 1, 1, 1, 1, 1, 1, 1, 1}));
}

TEST_F(Transfer, ItemsAndVectorsComeBack) {
  EXPECT_EQ(Tensor::scalar(0.25, {DType::float32, kGpu}).item(), 0.25);
  EXPECT_EQ(Tensor::scalar(-7, {DType::int64, kGpu}).item(), -7);
  EXPECT_EQ(Tensor::full({2}, 3, {DType::bfloat16, kGpu}).to_vector<std::int64_t>(),
            (std::vector<std::int64_t>{3, 3}));
  expect_error([] { Tensor::zeros({2}, {DType::float32, kGpu}).item(); }, {"item: [2] has 2 elements"});
}

TEST_F(Transfer, ServesManyThreadsAtOnce) {
  std::vector<std::thread> threads;
  std::vector<int> wrong(4);
  for (std::size_t t = 0; t < wrong.size(); ++t)
    threads.emplace_back([t, &wrong] {
      for (int i = 0; i < 50; ++i) {
        const Tensor x = Tensor::full({40'000 + 1000 * i}, static_cast<double>(t)).to(kGpu);
        for (const float value : x.to_vector<float>()) wrong[t] += value == static_cast<float>(t) ? 0 : 1;
      }
    });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(wrong, std::vector<int>(4));
}

TEST_F(Transfer, AStreamGuardHoldsForItsThreadAndItsTime) {
  const cudaStream_t usual = current_stream();
  const Stream other;
  {
    const StreamGuard guard(other.get());
    EXPECT_EQ(current_stream(), other.get());
    std::thread([&] { EXPECT_EQ(current_stream(), usual); }).join();
    const Tensor x = small_numbers({1 << 20}, DType::float32);
    expect_same_bits(x.to(kGpu).to(Device{}), x);
  }
  EXPECT_EQ(current_stream(), usual);
}

TEST_F(Transfer, EventsOrderStreams) {
  const Stream other;
  Tensor x = Tensor::full({1 << 22}, 1, {DType::float32, kGpu});
  Tensor y = Tensor::zeros({1 << 22}, {DType::float32, kGpu});
  Event written(Event::Timing::on);
  Event copied(Event::Timing::on);
  written.record(current_stream());
  {
    const StreamGuard guard(other.get());
    written.hold(other.get());
    y.copy_from(x);
    copied.record(other.get());
  }
  copied.hold(current_stream());
  EXPECT_EQ(y.to_vector<float>(), std::vector<float>(1 << 22, 1.0F));
  EXPECT_GE(copied.since(written), 0.0F);
}

TEST_F(Transfer, ACallThatFailsNamesOpAndReason) {
  expect_error([] { DCL_CUDA("relu", cudaErrorInvalidValue); }, {"relu: cudaErrorInvalidValue: "});
  expect_error([] { DCL_CUDA("relu", cudaSetDevice(4711)); }, {"relu: cudaErrorInvalidDevice: "});
  DCL_CUDA("relu", cudaGetLastError());  // the error was taken along
  expect_error([] { Tensor::empty({1}, {DType::float32, {DeviceType::cuda, 63}}); }, {"no CUDA device 63"});
  EXPECT_THROW(DeviceScope({DeviceType::cuda, 63}), Error);
}

TEST_F(Transfer, TheDeviceSaysWhatItIs) {
  const DeviceProperties& gpu = device_properties(0);
  EXPECT_GE(device_count(), 1);
  EXPECT_FALSE(gpu.name.empty());
  EXPECT_GE(gpu.major, 9);
  EXPECT_GT(gpu.multiprocessors, 0);
  EXPECT_GT(gpu.total_bytes, std::int64_t{1} << 30);
  tensor::synchronize(kGpu);
}

TEST_F(Transfer, BetweenTwoDevices) {
  if (device_count() < 2) GTEST_SKIP() << "one GPU only";
  const Device second{DeviceType::cuda, 1};
  const Tensor x = small_numbers({1 << 20}, DType::float32);
  const Tensor there = x.to(kGpu).to(second);
  EXPECT_EQ(there.device(), second);
  EXPECT_EQ(current_device(), 0);
  expect_same_bits(there.to(Device{}), x);
  expect_same_bits(there.to(kGpu).to(Device{}), x);
}

}  // namespace
}  // namespace dcl::tensor::cuda
