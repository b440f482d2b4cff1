#include "tensor/storage.h"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <memory>
#include <string_view>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "tensor/tensor.h"
#include "tests/ops/op_table.h"

namespace dcl::tensor {
namespace {

bool plain() {
  const char* choice = std::getenv("DCL_ALLOCATOR");
  return choice != nullptr && std::string_view(choice) == "plain";
}

// What a test changes of the figures, given what was live before it.
MemoryStats since(const MemoryStats& before) {
  const MemoryStats now = allocator({}).stats();
  return {now.live - before.live, now.cached - before.cached, now.peak};
}

TEST(Allocator, CountsWhatIsLiveAndTheMostThatWas) {
  allocator({}).release_cached();
  const MemoryStats before = allocator({}).stats();
  {
    const Storage a(1 << 20, {});
    EXPECT_EQ(since(before).live, 1 << 20);
    const Storage b(2 << 20, {});
    EXPECT_EQ(since(before).live, 3 << 20);
  }
  EXPECT_EQ(since(before).live, 0);
  EXPECT_GE(since(before).peak, before.live + (3 << 20));
}

// The environment chooses once for the whole process, so tests/CMakeLists.txt runs the suites of either in
// their own.
TEST(CachingAllocator, HandsOutTheSameBlockAgain) {
  ASSERT_FALSE(plain()) << "run with DCL_ALLOCATOR=caching";
  allocator({}).release_cached();
  const MemoryStats before = allocator({}).stats();
  void* first = nullptr;
  {
    const Storage a(1 << 16, {});
    first = a.data();
  }
  EXPECT_EQ(since(before).cached, 1 << 16);
  {
    const Storage smaller((1 << 16) - (1 << 12), {});  // within an eighth
    EXPECT_EQ(smaller.data(), first);
    EXPECT_EQ(since(before).live, 1 << 16);
    EXPECT_EQ(since(before).cached, 0);
    const Storage other(1 << 16, {});  // the cached one is in use
    EXPECT_NE(other.data(), first);
  }
  const Storage much_smaller(1 << 14, {});  // a block of its own, not four times as much of the cache
  EXPECT_EQ(since(before).live, 1 << 14);
  allocator({}).release_cached();
  EXPECT_EQ(allocator({}).stats().cached, 0);
}

// Blocks of ever new sizes fit nothing that is cached: the footprint stays near the most that was live at
// once. Small blocks and large ones are kept apart (tensor/arena.h).
TEST(CachingAllocator, FootprintStaysBoundedWhateverTheSizes) {
  const auto expect_bounded = [](std::int64_t from, std::int64_t to) {
    allocator({}).release_cached();
    for (std::int64_t size = from; size < to; size += size / 4) {
      const Storage a(size, {});
      const MemoryStats now = allocator({}).stats();
      EXPECT_LE(now.live + now.cached, now.peak + now.peak / 8) << "after a block of " << size;
    }
  };
  expect_bounded(1 << 10, 128 << 10);
  expect_bounded(128 << 10, 64 << 20);
}

// What one size has left serves another: activations are stacked up in other sizes than gradients.
TEST(CachingAllocator, LargeBlocksAreJoinedAndCut) {
  allocator({}).release_cached();
  const MemoryStats before = allocator({}).stats();
  std::vector<void*> first;
  {
    std::vector<std::unique_ptr<Storage>> blocks;
    for (int i = 0; i < 8; ++i) {
      blocks.push_back(std::make_unique<Storage>(4 << 20, Device{}));
      first.push_back(blocks.back()->data());
    }
  }
  EXPECT_EQ(since(before).cached, 32 << 20);
  const Storage whole(32 << 20, {});
  EXPECT_EQ(whole.data(), *std::min_element(first.begin(), first.end()));
  EXPECT_EQ(since(before).cached, 0);
}

TEST(PlainAllocator, KeepsNothing) {
  ASSERT_TRUE(plain()) << "run with DCL_ALLOCATOR=plain";
  const MemoryStats before = allocator({}).stats();
  {
    const Storage a(1 << 20, {});
  }
  EXPECT_EQ(since(before).live, 0);
  EXPECT_EQ(allocator({}).stats().cached, 0);
}

TEST(Allocator, BlocksAreAlignedAndApart) {
  for (const std::int64_t bytes : {0, 1, 63, 64, 65, 4095, 4097, 1 << 16, 3 << 20, 5 << 20}) {
    const Storage a(bytes, {});
    const Storage b(bytes, {});
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(a.data()) % 64, 0U) << bytes;
    EXPECT_NE(a.data(), b.data()) << bytes;
    EXPECT_EQ(a.bytes(), bytes);
  }
}

TEST(Allocator, MemoryThatCannotBeHadIsAnErrorAndIsNotCounted) {
  const MemoryStats before = allocator({}).stats();
  for (const std::int64_t bytes : {std::int64_t{1} << 55, std::numeric_limits<std::int64_t>::max()})
    dcl::test::expect_error([&] { const Storage a(bytes, {}); }, {"allocator", "bytes of memory"});
  EXPECT_EQ(since(before).live, 0);
  EXPECT_EQ(allocator({}).stats().peak, before.peak);
}

TEST(CachingAllocator, MemoryThatCannotBeHadIsAnErrorAlsoWithBlocksInTheCache) {
  {
    const Storage a(8 << 20, {});
  }
  const Storage live(16 << 20, {});
  const MemoryStats before = allocator({}).stats();
  for (const std::int64_t bytes : {std::int64_t{1} << 55, std::numeric_limits<std::int64_t>::max()})
    dcl::test::expect_error([&] { const Storage a(bytes, {}); }, {"allocator", "bytes of memory"});
  EXPECT_EQ(since(before).live, 0);
  EXPECT_EQ(allocator({}).stats().peak, before.peak);
}

TEST(Allocator, ServesManyThreadsAtOnce) {
  const MemoryStats before = allocator({}).stats();
  std::vector<std::thread> threads;
  std::vector<int> wrong(4);
  for (std::size_t t = 0; t < 4; ++t) {
    threads.emplace_back([t, &wrong] {
      for (int i = 0; i < 300; ++i) {
        const Tensor x = Tensor::full({100 + i}, static_cast<double>(t));
        for (const float value : x.to_vector<float>()) wrong[t] += value == static_cast<float>(t) ? 0 : 1;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(wrong, std::vector<int>(4));
  EXPECT_EQ(since(before).live, 0);
}

TEST(Tensor, MemoryGoesBackWithTheLastHandle) {
  const MemoryStats before = allocator({}).stats();
  Tensor rows;
  {
    const Tensor x = Tensor::zeros({1024, 1024});
    rows = x.rows(0, 1);
  }
  EXPECT_GE(since(before).live, 4 << 20);  // the rows hold the whole block
  rows = Tensor();
  EXPECT_EQ(since(before).live, 0);
}

}  // namespace
}  // namespace dcl::tensor
