#include "tensor/arena.h"

#include <algorithm>
#include <cstring>
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/memory.h"

namespace dcl::tensor {
namespace {

constexpr std::int64_t kGrain = Arena::kGrain;

TEST(Arena, TakesTheSmallestPlaceThatFits) {
  Arena arena(100 * kGrain);
  auto* a = static_cast<std::byte*>(arena.allocate(2 * kGrain));
  auto* b = static_cast<std::byte*>(arena.allocate(3 * kGrain));
  auto* c = static_cast<std::byte*>(arena.allocate(kGrain));
  EXPECT_EQ(b, a + 2 * kGrain);
  EXPECT_EQ(c, b + 3 * kGrain);
  EXPECT_EQ(arena.cached(), 0);
  arena.release(a, 2 * kGrain);
  EXPECT_EQ(arena.cached(), 2 * kGrain);
  EXPECT_EQ(arena.allocate(3 * kGrain), c + kGrain);  // two are too few
  EXPECT_EQ(arena.allocate(kGrain), a);
  EXPECT_EQ(arena.cached(), kGrain);
  // A place of one behind one of two: the small one first, though it is higher.
  arena.release(c, kGrain);
  arena.release(a, kGrain);
  EXPECT_EQ(arena.allocate(kGrain), c);
  EXPECT_EQ(arena.allocate(2 * kGrain), a);
  // Of places of the same size the lowest.
  arena.release(c, kGrain);
  arena.release(a, 2 * kGrain);
  EXPECT_EQ(arena.allocate(kGrain), c);
  EXPECT_EQ(arena.allocate(kGrain), a);
}

TEST(Arena, JoinsFreeNeighboursInAnyOrder) {
  std::vector<int> order{0, 1, 2};
  do {
    Arena arena(3 * kGrain);
    std::vector<void*> blocks;
    for (int i = 0; i < 3; ++i) blocks.push_back(arena.allocate(kGrain));
    EXPECT_EQ(arena.allocate(kGrain), nullptr);
    for (const int i : order) arena.release(blocks[static_cast<std::size_t>(i)], kGrain);
    EXPECT_EQ(arena.cached(), 3 * kGrain);
    EXPECT_EQ(arena.allocate(3 * kGrain), blocks[0]);
    EXPECT_EQ(arena.cached(), 0);
  } while (std::next_permutation(order.begin(), order.end()));
}

// Blocks come and go at random: each keeps what was written to it, and at the end all is one place again.
TEST(Arena, BlocksDoNotOverlap) {
  struct Block {
    std::byte* at;
    std::int64_t bytes;
    int value;
  };
  Arena arena(200 * kGrain);
  std::mt19937 random(1);  // NOLINT(cert-msc32-c,cert-msc51-cpp): the same test every time
  std::vector<Block> blocks;
  const auto holds = [](const Block& block) {
    return std::all_of(block.at, block.at + block.bytes,
                       [&](std::byte b) { return b == static_cast<std::byte>(block.value); });
  };
  for (int round = 0; round < 2000; ++round) {
    const std::int64_t bytes = (1 + static_cast<std::int64_t>(random() % 20)) * kGrain;
    if (auto* at = static_cast<std::byte*>(arena.allocate(bytes))) {
      ASSERT_TRUE(arena.owns(at) && arena.owns(at + bytes - 1));
      blocks.push_back({at, bytes, round % 251});
      std::memset(at, blocks.back().value, static_cast<std::size_t>(bytes));
    }
    if (random() % 2 == 0 || blocks.size() > 15) {
      const std::size_t gone = random() % blocks.size();
      ASSERT_TRUE(holds(blocks[gone])) << round;
      arena.release(blocks[gone].at, blocks[gone].bytes);
      blocks.erase(blocks.begin() + static_cast<std::ptrdiff_t>(gone));
    }
  }
  for (const Block& block : blocks) {
    ASSERT_TRUE(holds(block));
    arena.release(block.at, block.bytes);
  }
  EXPECT_NE(arena.allocate(200 * kGrain), nullptr);
}

TEST(Arena, GivesItsMemoryBack) {
  constexpr std::int64_t bytes = std::int64_t{64} << 20;
  Arena arena(2 * bytes);
  void* block = arena.allocate(bytes);
  std::memset(block, 1, bytes);
  const std::int64_t full = test::resident_bytes();
  arena.release(block, bytes);
  arena.release_cached();
  EXPECT_EQ(arena.cached(), 0);
  EXPECT_LT(test::resident_bytes(), full - bytes / 2);
}

TEST(Arena, HasNoPlaceWithoutAddresses) {
  for (const std::int64_t capacity : {std::int64_t{0}, std::int64_t{1} << 60}) {
    Arena arena(capacity);
    EXPECT_EQ(arena.allocate(kGrain), nullptr);
    const int elsewhere = 0;
    EXPECT_FALSE(arena.owns(&elsewhere));
  }
}

}  // namespace
}  // namespace dcl::tensor
