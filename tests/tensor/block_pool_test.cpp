#include "tensor/cuda/block_pool.h"

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <limits>
#include <map>
#include <random>
#include <vector>

#include <gtest/gtest.h>

namespace dcl::tensor::cuda {
namespace {

// A machine with so many bytes. Its memory is addresses that nobody reads.
class FakeSystem {
 public:
  explicit FakeSystem(std::int64_t capacity = std::int64_t{1} << 40) : capacity_(capacity) {}

  void* get(std::int64_t bytes) {
    ++asked;
    if (taken_ + bytes > capacity_) return nullptr;
    auto* segment = reinterpret_cast<std::byte*>(next_);  // NOLINT(performance-no-int-to-ptr)
    next_ += static_cast<std::uintptr_t>(bytes);          // segments touch, and still must not be joined
    taken_ += bytes;
    segments_.emplace(segment, bytes);
    return segment;
  }
  void put(void* segment) {
    const auto found = segments_.find(static_cast<std::byte*>(segment));
    ASSERT_NE(found, segments_.end()) << "a segment that was not handed out, or given back twice";
    taken_ -= found->second;
    segments_.erase(found);
  }

  std::int64_t taken() const { return taken_; }
  std::size_t segments() const { return segments_.size(); }
  // Whether the stretch lies within one segment.
  bool holds(const std::byte* begin, std::int64_t bytes) const {
    auto after = segments_.upper_bound(const_cast<std::byte*>(begin));
    if (after == segments_.begin()) return false;
    const auto& [segment, size] = *std::prev(after);
    return begin + bytes <= segment + size;
  }

  int asked = 0;

 private:
  std::int64_t capacity_;
  std::int64_t taken_ = 0;
  std::uintptr_t next_ = std::uintptr_t{1} << 32;
  std::map<std::byte*, std::int64_t> segments_;
};

using Pool = BlockPool<FakeSystem>;
constexpr std::int64_t kMB = Pool::kMegabyte;
constexpr std::int64_t kGrain = Pool::kGrain;

std::byte* take(Pool& pool, std::int64_t bytes) { return static_cast<std::byte*>(pool.allocate(bytes)); }

TEST(BlockPool, SmallBlocksShareASegment) {
  FakeSystem system;
  Pool pool(system);
  std::byte* a = take(pool, 1);
  std::byte* b = take(pool, kGrain + 1);
  std::byte* c = take(pool, 0);  // also a block of its own
  EXPECT_EQ(b, a + kGrain);
  EXPECT_EQ(c, b + 2 * kGrain);
  EXPECT_EQ(system.taken(), Pool::kSmallSegment);
  EXPECT_EQ(pool.stats().live, 4 * kGrain);
  EXPECT_EQ(pool.stats().cached, Pool::kSmallSegment - 4 * kGrain);
}

TEST(BlockPool, LargeBlocksKeepAwayFromSmallOnes) {
  FakeSystem system;
  Pool pool(system);
  take(pool, kGrain);
  take(pool, Pool::kMostSmall + 1);
  EXPECT_EQ(system.taken(), Pool::kSmallSegment + Pool::kSharedSegment);
  take(pool, 100 * kMB - 1);
  EXPECT_EQ(system.taken(), Pool::kSmallSegment + Pool::kSharedSegment + 100 * kMB);
  // A small one does not go where large ones have room.
  for (int i = 0; i < 3; ++i) take(pool, kMB);
  EXPECT_EQ(system.taken(), 2 * Pool::kSmallSegment + Pool::kSharedSegment + 100 * kMB);
}

TEST(BlockPool, AStepThatRepeatsAsksTheSystemOnce) {
  FakeSystem system;
  Pool pool(system);
  std::vector<std::byte*> before;
  for (int step = 0; step < 3; ++step) {
    std::vector<std::byte*> blocks;
    for (const std::int64_t bytes : {7 * kMB, kGrain, 40 * kMB, 12 * kMB, 3 * kGrain})
      blocks.push_back(take(pool, bytes));
    if (step > 0) {
      EXPECT_EQ(blocks, before);
    }
    for (std::byte* block : blocks) pool.release(block);
    before = blocks;
  }
  EXPECT_EQ(system.asked, 3);  // for small blocks, for 7 and 12 MB, for 40 MB
  EXPECT_EQ(pool.stats().live, 0);
  EXPECT_EQ(pool.stats().cached, system.taken());
  EXPECT_EQ(pool.stats().peak, 59 * kMB + 4 * kGrain);
}

TEST(BlockPool, TakesTheSmallestPlaceThatFitsAndTheLowestOfSeveral) {
  FakeSystem system;
  Pool pool(system);
  std::byte* wide = take(pool, 40 * kMB);
  std::byte* narrow = take(pool, 30 * kMB);
  std::byte* same = take(pool, 30 * kMB);
  pool.release(wide);
  pool.release(same);
  pool.release(narrow);
  EXPECT_EQ(take(pool, 30 * kMB), narrow);
  EXPECT_EQ(take(pool, 25 * kMB), same);
  EXPECT_EQ(take(pool, 8 * kMB), wide);
  EXPECT_EQ(take(pool, 4 * kMB), same + 25 * kMB);
}

TEST(BlockPool, JoinsFreeNeighboursInAnyOrder) {
  std::vector<int> order{0, 1, 2};
  do {
    FakeSystem system;
    Pool pool(system);
    std::vector<std::byte*> blocks;
    for (int i = 0; i < 3; ++i) blocks.push_back(take(pool, 5 * kMB));
    for (const int i : order) pool.release(blocks[static_cast<std::size_t>(i)]);
    EXPECT_EQ(take(pool, Pool::kSharedSegment), blocks[0]);
    EXPECT_EQ(system.asked, 1);
  } while (std::next_permutation(order.begin(), order.end()));
}

TEST(BlockPool, NeverJoinsAcrossSegments) {
  FakeSystem system;
  Pool pool(system);
  std::byte* a = take(pool, 30 * kMB);
  std::byte* b = take(pool, 30 * kMB);
  EXPECT_EQ(b, a + 30 * kMB);  // neighbours, but each has to go back by itself
  pool.release(a);
  pool.release(b);
  EXPECT_EQ(take(pool, 60 * kMB), b + 30 * kMB);
  pool.release_cached();
  EXPECT_EQ(system.segments(), 1U);
}

TEST(BlockPool, OnlyWholeSegmentsGoBack) {
  FakeSystem system;
  Pool pool(system);
  std::byte* a = take(pool, 5 * kMB);
  std::byte* b = take(pool, 5 * kMB);
  std::byte* c = take(pool, 32 * kMB);
  pool.release(a);
  pool.release(c);
  pool.release_cached();
  EXPECT_EQ(system.taken(), Pool::kSharedSegment);
  EXPECT_EQ(pool.stats().cached, 15 * kMB);
  pool.release(b);
  pool.release_cached();
  EXPECT_EQ(system.segments(), 0U);
  EXPECT_EQ(pool.stats().cached, 0);
  EXPECT_EQ(pool.stats().live, 0);
}

TEST(BlockPool, OutOfMemoryGivesBackWhatIsCachedAndAsksAgain) {
  FakeSystem system(100 * kMB);
  Pool pool(system);
  std::byte* a = take(pool, 60 * kMB);
  pool.release(a);
  EXPECT_NE(take(pool, 80 * kMB), nullptr);
  EXPECT_EQ(system.taken(), 80 * kMB);
  EXPECT_EQ(pool.stats().peak, 80 * kMB);
}

// What a captured graph reads and writes stays where it is, however short memory is.
TEST(BlockPool, AKeptPoolGivesNothingBack) {
  FakeSystem system(100 * kMB);
  Pool pool(system);
  pool.keep(true);
  std::byte* a = take(pool, 60 * kMB);
  EXPECT_TRUE(pool.owns(a));
  pool.release(a);
  EXPECT_FALSE(pool.owns(a));
  EXPECT_EQ(pool.allocate(80 * kMB), nullptr);
  EXPECT_EQ(system.taken(), 60 * kMB);
  EXPECT_EQ(take(pool, 60 * kMB), a);
  pool.release(a);
  pool.keep(false);
  EXPECT_NE(take(pool, 80 * kMB), nullptr);
}

TEST(BlockPool, TheLastMemoryIsTakenInSegmentsNoLargerThanNeeded) {
  FakeSystem system(90 * kMB);
  Pool pool(system);
  take(pool, 80 * kMB);
  EXPECT_NE(take(pool, 8 * kMB), nullptr);  // not twenty
  EXPECT_NE(take(pool, kMB), nullptr);      // not two
  EXPECT_NE(take(pool, kMB), nullptr);
  EXPECT_EQ(system.taken(), 90 * kMB);
  EXPECT_EQ(take(pool, 1), nullptr);
}

TEST(BlockPool, ARequestThatFailsChangesNothing) {
  FakeSystem system(100 * kMB);
  Pool pool(system);
  std::byte* a = take(pool, 60 * kMB);
  for (const std::int64_t bytes :
       {41 * kMB, std::int64_t{1} << 55, Pool::kMostBytes + 1, std::numeric_limits<std::int64_t>::max()})
    EXPECT_EQ(take(pool, bytes), nullptr) << bytes;
  EXPECT_EQ(pool.stats().live, 60 * kMB);
  EXPECT_EQ(pool.stats().peak, 60 * kMB);
  pool.release(a);
  EXPECT_EQ(take(pool, 60 * kMB), a);
}

TEST(BlockPool, GivesItsSegmentsBackAtItsEnd) {
  FakeSystem system;
  {
    Pool pool(system);
    pool.release(take(pool, 3 * kMB));
  }
  EXPECT_EQ(system.segments(), 0U);
}

// Random requests against a model that knows the live blocks: none overlap, each lies in one segment, the
// sums hold.
TEST(BlockPool, AgreesWithAModelWhateverComes) {
  for (std::uint64_t seed = 0; seed < 8; ++seed) {
    std::mt19937_64 random(seed);
    FakeSystem system(256 * kMB);
    Pool pool(system);
    std::map<std::byte*, std::int64_t> live;
    std::int64_t live_bytes = 0;
    std::int64_t peak = 0;
    int refused = 0;
    for (int i = 0; i < 4000; ++i) {
      if (random() % 5 < 3) {
        const auto bits = random() % 26;  // up to 64 MB, small ones as often as large ones
        const auto bytes = static_cast<std::int64_t>(random() % (std::uint64_t{2} << bits));
        const std::int64_t size = std::max((bytes + kGrain - 1) / kGrain * kGrain, kGrain);
        std::byte* block = take(pool, bytes);
        if (block == nullptr) {
          ++refused;
          continue;
        }
        ASSERT_EQ(reinterpret_cast<std::uintptr_t>(block) % static_cast<std::uintptr_t>(kGrain), 0U);
        ASSERT_TRUE(system.holds(block, size)) << "seed " << seed << ", request " << i;
        const auto after = live.lower_bound(block);
        if (after != live.end()) {
          ASSERT_LE(block + size, after->first);
        }
        if (after != live.begin()) {
          ASSERT_LE(std::prev(after)->first + std::prev(after)->second, block);
        }
        live.emplace(block, size);
        live_bytes += size;
        peak = std::max(peak, live_bytes);
      } else if (!live.empty()) {
        const auto chosen = std::next(live.begin(), static_cast<std::ptrdiff_t>(random() % live.size()));
        live_bytes -= chosen->second;
        pool.release(chosen->first);
        live.erase(chosen);
      } else if (random() % 2 == 0) {
        pool.release_cached();
      }
      ASSERT_EQ(pool.stats().live, live_bytes);
      ASSERT_EQ(pool.stats().live + pool.stats().cached, system.taken());
      ASSERT_EQ(pool.stats().peak, peak);
    }
    EXPECT_GT(refused, 0) << "the machine was never full";
    for (const auto& [block, size] : live) pool.release(block);
    pool.release_cached();
    EXPECT_EQ(system.segments(), 0U) << "seed " << seed;
  }
}

}  // namespace
}  // namespace dcl::tensor::cuda
