#include "data/sampler.h"

#include <limits>
#include <numeric>
#include <set>

#include <gtest/gtest.h>

#include "tests/ops/op_table.h"

namespace dcl::data {
namespace {

using test::expect_error;

TEST(Sampler, AnEpochIsAPermutationAndFollowsFromSeedAndEpoch) {
  const Sampler sampler({.size = 1000, .batch = 10, .seed = 3});
  auto order = sampler.order(5);
  EXPECT_EQ(order, Sampler({.size = 1000, .batch = 100, .seed = 3}).order(5));
  EXPECT_NE(order, sampler.order(6));
  EXPECT_NE(order, Sampler({.size = 1000, .batch = 10, .seed = 4}).order(5));
  std::sort(order.begin(), order.end());
  std::vector<std::int64_t> all(1000);
  std::iota(all.begin(), all.end(), 0);
  EXPECT_EQ(order, all);
}

TEST(Sampler, BatchesCutTheOrderAndDropTheRest) {
  const Sampler sampler({.size = 23, .batch = 5});
  EXPECT_EQ(sampler.batches_per_epoch(), 4);
  const auto order = sampler.order(0);
  for (std::int64_t i = 0; i < 4; ++i)
    EXPECT_EQ(sampler.batch(order, i),
              (std::vector<std::int64_t>(order.begin() + i * 5, order.begin() + (i + 1) * 5)));
  expect_error([&] { sampler.batch(order, 4); }, {"batch 4 of 4"});
}

// All ranks together see exactly the batches of one process with the whole batch.
TEST(Sampler, RanksShareABatchWithoutDuplicates) {
  const Sampler whole({.size = 50, .batch = 12, .seed = 1});
  const auto order = whole.order(2);
  for (std::int64_t i = 0; i < whole.batches_per_epoch(); ++i) {
    std::vector<std::int64_t> together;
    for (int rank = 0; rank < 3; ++rank) {
      const Sampler part({.size = 50, .batch = 4, .seed = 1, .rank = rank, .ranks = 3});
      EXPECT_EQ(part.batches_per_epoch(), whole.batches_per_epoch());
      EXPECT_EQ(part.order(2), order);
      const auto batch = part.batch(order, i);
      together.insert(together.end(), batch.begin(), batch.end());
    }
    EXPECT_EQ(together, whole.batch(order, i));
  }
}

// Every picture comes equally often at every place: chi-square of the first place over 4,000 epochs.
TEST(Sampler, OrdersAreUniform) {
  const Sampler sampler({.size = 8, .batch = 1, .seed = 9});
  std::array<int, 8> first{};
  for (int epoch = 0; epoch < 4000; ++epoch) ++first[static_cast<std::size_t>(sampler.order(epoch)[0])];
  double chi_square = 0;
  for (const int count : first) chi_square += (count - 500.0) * (count - 500.0) / 500.0;
  EXPECT_LT(chi_square, 24.3);  // 7 degrees of freedom, p = 0.001
}

TEST(Sampler, RefusesWhatCannotBe) {
  expect_error([] { Sampler({.size = 5, .batch = 6}); }, {"batch of 6", "5 pictures"});
  expect_error([] { Sampler({.size = 5, .batch = 3, .ranks = 2}); }, {"batch of 6", "5 pictures"});
  expect_error([] { Sampler({.size = 5, .batch = 0}); }, {"batch size is 0"});
  expect_error([] { Sampler({.size = 5, .batch = 1, .rank = 2, .ranks = 2}); }, {"rank 2 of 2"});
  expect_error([] { Sampler({.size = 5, .batch = std::numeric_limits<std::int64_t>::max(), .ranks = 4}); },
               {"sampler: a batch", "5 pictures"});
}

}  // namespace
}  // namespace dcl::data
