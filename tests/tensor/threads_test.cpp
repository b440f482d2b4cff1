#include "tensor/cpu/threads.h"

#include <algorithm>
#include <atomic>
#include <latch>
#include <mutex>
#include <set>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "tests/ops/op_table.h"

namespace dcl::tensor::cpu {
namespace {

// Sets the number of threads for one test.
class Threads {
 public:
  explicit Threads(int count) : before_(num_threads()) { set_num_threads(count); }
  ~Threads() { set_num_threads(before_); }
  Threads(const Threads&) = delete;
  Threads& operator=(const Threads&) = delete;

 private:
  int before_;
};

using Ranges = std::set<std::pair<std::int64_t, std::int64_t>>;

Ranges ranges_of(std::int64_t n, std::int64_t grain) {
  std::mutex mutex;
  Ranges ranges;
  parallel_for(n, grain, [&](std::int64_t begin, std::int64_t end) {
    const std::scoped_lock lock(mutex);
    ranges.emplace(begin, end);
  });
  return ranges;
}

TEST(Threads, RangesCoverEachIndexOnceAndKeepTheGrain) {
  for (const int threads : {1, 2, 3, 5}) {
    const Threads set(threads);
    for (const std::int64_t n : {0, 1, 2, 7, 64, 1001}) {
      for (const std::int64_t grain : {0, 1, 3, 50, 2000}) {
        const Ranges ranges = ranges_of(n, grain);
        EXPECT_LE(ranges.size(), static_cast<std::size_t>(threads == 1 ? 1 : 8 * threads));
        std::int64_t at = 0;
        for (const auto& [begin, end] : ranges) {
          EXPECT_EQ(begin, at);
          EXPECT_GE(end - begin, std::min(grain, n));
          at = end;
        }
        EXPECT_EQ(at, n);
        EXPECT_EQ(ranges_of(n, grain), ranges) << "the same each time";
      }
    }
  }
}

TEST(Threads, WorkIsSharedByThatManyThreads) {
  const Threads set(3);
  std::mutex mutex;
  std::set<std::thread::id> ids;
  std::latch all(3);
  parallel_items(3, [&](Items& items) {
    for (std::int64_t i = 0; items.take(i);) {
      {
        const std::scoped_lock lock(mutex);
        ids.insert(std::this_thread::get_id());
      }
      all.arrive_and_wait();  // nobody goes on before each of the three has an item
    }
  });
  EXPECT_EQ(ids.size(), 3U);
  EXPECT_TRUE(ids.contains(std::this_thread::get_id()));
}

// Each of `threads` threads in turn holds its first item until all others are done: they have to go to the
// other threads, those of the slow one's own share too.
TEST(Threads, ASlowThreadKeepsNoItemsWaiting) {
  constexpr std::int64_t kItems = 100;
  for (const int threads : {2, 3}) {
    const Threads set(threads);
    for (int round = 0; round < 50; ++round) {
      std::vector<std::atomic<int>> taken(kItems);
      std::atomic<std::int64_t> done = 0;
      std::atomic<bool> held = false;
      std::atomic<int> inside = 0;
      parallel_items(kItems, [&](Items& items) {
        const bool slow = inside++ == round % threads;
        for (std::int64_t i = 0; items.take(i);) {
          ++taken[static_cast<std::size_t>(i)];
          if (slow && !held.exchange(true))
            while (done < kItems - 1) std::this_thread::yield();
          ++done;
        }
      });
      for (std::int64_t i = 0; i < kItems; ++i) EXPECT_EQ(taken[static_cast<std::size_t>(i)], 1) << i;
    }
  }
}

TEST(Threads, RangesAreAsManyAsAskedFor) {
  const Threads set(2);
  std::mutex mutex;
  for (const std::int64_t count : {0, 1, 3, 10, 11}) {
    Ranges ranges;
    parallel_ranges(10, count, [&](std::int64_t begin, std::int64_t end) {
      const std::scoped_lock lock(mutex);
      ranges.emplace(begin, end);
    });
    EXPECT_EQ(ranges.size(), static_cast<std::size_t>(std::clamp<std::int64_t>(count, 1, 10)));
    std::int64_t at = 0;
    for (const auto& [begin, end] : ranges) {
      EXPECT_EQ(begin, at);
      at = end;
    }
    EXPECT_EQ(at, 10);
  }
}

TEST(Threads, PartsAreTheSameForAnyNumberOfThreads) {
  // Sums of floats in parts: the order inside a part, and of the parts, is fixed.
  std::vector<float> values(10007);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = 1.0F / static_cast<float>(i + 1);
  std::set<float> sums;
  for (const int threads : {1, 2, 3, 7}) {
    const Threads set(threads);
    std::vector<float> partial(16);
    parallel_parts(16, [&](int part) {
      const auto p = static_cast<std::size_t>(part);
      for (std::size_t i = values.size() * p / 16; i < values.size() * (p + 1) / 16; ++i)
        partial[p] += values[i];
    });
    float sum = 0;
    for (const float part : partial) sum += part;
    sums.insert(sum);
  }
  EXPECT_EQ(sums.size(), 1U);
}

TEST(Threads, TheFirstExceptionComesBackAndThePoolLivesOn) {
  const Threads set(4);
  for (int thrower = 0; thrower < 4; ++thrower) {
    try {
      parallel_for(4, 1, [&](std::int64_t begin, std::int64_t) {
        if (begin == thrower) throw std::runtime_error("range " + std::to_string(begin));
      });
      ADD_FAILURE() << "nothing was thrown";
    } catch (const std::runtime_error& error) {
      EXPECT_EQ(std::string(error.what()), "range " + std::to_string(thrower));
    }
    EXPECT_EQ(ranges_of(4, 1).size(), 4U);
  }
}

TEST(Threads, ACallInsideACallRunsOnItsThreadAlone) {
  const Threads set(2);
  std::atomic<int> total = 0;
  std::atomic<int> strayed = 0;
  parallel_for(2, 1, [&](std::int64_t, std::int64_t) {
    const auto outer = std::this_thread::get_id();
    parallel_for(10, 1, [&](std::int64_t begin, std::int64_t end) {
      total += static_cast<int>(end - begin);
      strayed += std::this_thread::get_id() == outer ? 0 : 1;
    });
  });
  EXPECT_EQ(total, 20);
  EXPECT_EQ(strayed, 0);
}

TEST(Threads, CallsFromManyThreadsAtOnceAllFinish) {
  const Threads set(3);
  std::vector<std::thread> callers;
  std::atomic<std::int64_t> total = 0;
  for (int t = 0; t < 4; ++t)
    callers.emplace_back([&] {
      for (int i = 0; i < 200; ++i)
        parallel_for(30, 1, [&](std::int64_t begin, std::int64_t end) { total += end - begin; });
    });
  for (auto& caller : callers) caller.join();
  EXPECT_EQ(total, 4 * 200 * 30);
}

TEST(Threads, TheNumberCanBeChangedAndIsChecked) {
  const Threads set(2);
  EXPECT_EQ(num_threads(), 2);
  EXPECT_EQ(ranges_of(100, 1).size(), 16U);
  set_num_threads(5);
  EXPECT_EQ(ranges_of(100, 1).size(), 40U);
  set_num_threads(1);
  EXPECT_EQ(ranges_of(100, 1), (Ranges{{0, 100}}));
  dcl::test::expect_error([] { set_num_threads(0); }, {"threads: 0", "at least 1"});
}

}  // namespace
}  // namespace dcl::tensor::cpu
