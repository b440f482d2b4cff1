// The allocator of a GPU on the GPU; its bookkeeping is tested by tests/tensor/block_pool_test.cpp.
#include <cmath>
#include <limits>

#include "tensor/cuda/allocator.h"
#include "tensor/cuda/context.h"
#include "tensor/cuda/pinned.h"
#include "tests/cuda/gpu_test.h"
#include "tests/ops/op_table.h"

namespace dcl::tensor::cuda {
namespace {

using dcl::test::expect_error;
using dcl::test::kGpu;

class DeviceMemory : public dcl::test::GpuTest {
 protected:
  void SetUp() override {
    GpuTest::SetUp();
    if (IsSkipped()) return;
    tensor::allocator(kGpu).release_cached();
    before_ = tensor::allocator(kGpu).stats();
  }
  // What the test changed.
  MemoryStats since() const {
    const MemoryStats now = tensor::allocator(kGpu).stats();
    return {now.live - before_.live, now.cached - before_.cached, now.peak};
  }
  std::int64_t peak_before() const { return before_.peak; }
  std::int64_t live_before() const { return before_.live; }

 private:
  MemoryStats before_;
};

TEST_F(DeviceMemory, CountsWhatIsLiveAndTheMostThatWas) {
  {
    const Storage a(64 << 20, kGpu);
    EXPECT_EQ(since().live, 64 << 20);
    const Storage b(128 << 20, kGpu);
    EXPECT_EQ(since().live, 192 << 20);
  }
  EXPECT_EQ(since().live, 0);
  EXPECT_GE(since().peak, live_before() + (192 << 20));
}

TEST_F(DeviceMemory, HandsOutTheSameBlockAgain) {
  if (allocates_plainly()) GTEST_SKIP() << "DCL_ALLOCATOR=plain";
  void* first = nullptr;
  {
    const Storage a(64 << 20, kGpu);
    first = a.data();
  }
  EXPECT_EQ(since().cached, 64 << 20);
  {
    const Storage again(64 << 20, kGpu);
    EXPECT_EQ(again.data(), first);
  }
  tensor::allocator(kGpu).release_cached();
  EXPECT_EQ(since().cached, 0);
}

TEST_F(DeviceMemory, PlainKeepsNothing) {
  if (!allocates_plainly()) GTEST_SKIP() << "run with DCL_ALLOCATOR=plain";
  {
    const Storage a(64 << 20, kGpu);
  }
  EXPECT_EQ(since().live, 0);
  EXPECT_EQ(since().cached, 0);
}

TEST_F(DeviceMemory, BlocksAreAlignedForVectors) {
  for (const std::int64_t bytes : {0, 1, 63, 513, 1 << 20, (1 << 20) + 1}) {
    const Storage a(bytes, kGpu);
    const Storage b(bytes, kGpu);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(a.data()) % 256, 0U) << bytes;
    EXPECT_NE(a.data(), b.data()) << bytes;
  }
}

TEST_F(DeviceMemory, WhatCannotBeHadIsAnErrorThatTellsWhatIsUsed) {
  const Storage live(16 << 20, kGpu);
  for (const std::int64_t bytes : {std::int64_t{1} << 55, std::numeric_limits<std::int64_t>::max()})
    expect_error([&] { const Storage a(bytes, kGpu); },
                 {"allocator: out of memory on cuda:0: ", std::to_string(bytes), "MiB in use", "MiB cached",
                  "free of the GPU's"});
  EXPECT_EQ(since().live, 16 << 20);
  DCL_CUDA("test", cudaGetLastError());  // the GPU is as usable as before
}

TEST_F(DeviceMemory, WhatIsCachedGoesBackBeforeMemoryIsShort) {
  std::size_t available = 0;
  std::size_t total = 0;
  DCL_CUDA("test", cudaMemGetInfo(&available, &total));
  const auto most = static_cast<std::int64_t>(available);
  {
    const Storage a(most / 10 * 6, kGpu);
  }
  const Storage larger(most / 10 * 8, kGpu);  // only without the first
  EXPECT_GE(since().peak, most / 10 * 8);
}

TEST_F(DeviceMemory, FreshBlocksArePoisonedWhenAsked) {
  poison_new_blocks(true);
  for (int round = 0; round < 2; ++round) {
    Tensor x = Tensor::empty({1000}, {DType::float32, kGpu});
    for (const float value : x.to_vector<float>()) ASSERT_TRUE(std::isnan(value)) << "round " << round;
    x.fill(1);
  }
  poison_new_blocks(false);
}

// A block that was given back while the GPU still reads it is written to by what comes later in the stream
// only.
TEST_F(DeviceMemory, ABlockIsUsedAgainInTheOrderOfTheStream) {
  constexpr std::int64_t kNumel = 1 << 24;
  Tensor last;
  for (int i = 0; i < 20; ++i) {
    const Tensor x = Tensor::full({kNumel}, i, {DType::float32, kGpu});
    last = x.clone();
  }
  EXPECT_EQ(last.rows(0, 1).item(), 19);
  EXPECT_EQ(last.rows(kNumel - 1, kNumel).item(), 19);
}

TEST_F(DeviceMemory, PinnedBuffersAreOrdinaryMemoryToTheHost) {
  const PinnedBuffer buffer(1 << 20);
  EXPECT_EQ(buffer.bytes(), 1 << 20);
  auto* bytes = static_cast<unsigned char*>(buffer.data());
  bytes[0] = 1;
  bytes[(1 << 20) - 1] = 2;
  EXPECT_EQ(bytes[0] + bytes[(1 << 20) - 1], 3);
  EXPECT_NE(PinnedBuffer(0).data(), nullptr);
}

}  // namespace
}  // namespace dcl::tensor::cuda
