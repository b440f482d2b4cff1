#include "tensor/random.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include <gtest/gtest.h>

#include "tests/ops/op_table.h"

namespace dcl::tensor {
namespace {

using Words = std::array<std::uint32_t, 4>;

// Random123's own known answers (its file tests/kat_vectors, "philox4x32 10").
TEST(Random, PhiloxGivesThePublishedKnownAnswers) {
  EXPECT_EQ(philox({0, 0, 0, 0}, {0, 0}), (Words{0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8}));
  EXPECT_EQ(philox({0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF}, {0xFFFFFFFF, 0xFFFFFFFF}),
            (Words{0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD}));
  EXPECT_EQ(philox({0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344}, {0xA4093822, 0x299F31D0}),
            (Words{0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1}));
}

TEST(Random, AStreamIsThePhiloxBlocksOfItsKeyInOrder) {
  const RandomKey key{.seed = 0x0123456789ABCDEF,
                      .purpose = Purpose::augmentation,
                      .epoch = 7,
                      .sample = 0x0000A1B2C3D4E5F6,
                      .view = 1};
  RandomStream stream(key);
  for (std::uint32_t block = 0; block < 3; ++block)
    for (const std::uint32_t word : philox({block, 0xC3D4E5F6, 0x0301A1B2, 7}, {0x89ABCDEF, 0x01234567}))
      EXPECT_EQ(stream.bits(), word);
}

TEST(Random, UniformTakesTheUpper53OfTwoWords) {
  RandomStream stream({.seed = 0, .purpose = Purpose::weights});  // counter and key all zero
  EXPECT_EQ(stream.uniform(), std::ldexp(static_cast<double>(0x6627E8D5E169C58DU >> 11), -53));
}

TEST(Random, EveryFieldOfTheKeyMatters) {
  const std::vector<RandomKey> keys = {
      {},           {.seed = 1},   {.seed = 1ULL << 32}, {.purpose = Purpose::queue},
      {.epoch = 1}, {.sample = 1}, {.sample = 2},        {.sample = 1ULL << 40},
      {.view = 1},  {.view = 2}};
  std::set<std::uint32_t> first;
  for (const auto& key : keys) first.insert(RandomStream(key).bits());
  EXPECT_EQ(first.size(), keys.size());
}

// Pearson's statistic of counts that should be equal; its mean is bins - 1, its variance twice that.
double chi_square(const std::vector<int>& counts) {
  double total = 0;
  for (const int count : counts) total += count;
  const double expected = total / static_cast<double>(counts.size());
  double sum = 0;
  for (const int count : counts) sum += (count - expected) * (count - expected) / expected;
  return sum;
}

// Within four standard deviations on both sides: too even is wrong as well.
void expect_uniform(const std::vector<int>& counts) {
  const double freedom = static_cast<double>(counts.size()) - 1;
  EXPECT_NEAR(chi_square(counts), freedom, 4 * std::sqrt(2 * freedom));
}

TEST(Random, UniformIsUniform) {
  RandomStream stream({.seed = 11});
  std::vector<int> counts(100);
  std::vector<int> pairs(100);  // of successive numbers, 10 × 10
  double before = stream.uniform();
  for (int i = 0; i < 100000; ++i) {
    const double x = stream.uniform();
    ASSERT_GE(x, 0.0);
    ASSERT_LT(x, 1.0);
    ++counts[static_cast<std::size_t>(x * 100)];
    ++pairs[static_cast<std::size_t>(before * 10) * 10 + static_cast<std::size_t>(x * 10)];
    before = x;
  }
  expect_uniform(counts);
  expect_uniform(pairs);
}

TEST(Random, NormalIsNormal) {
  RandomStream stream({.seed = 12});
  std::vector<double> values(100000);
  for (double& value : values) value = stream.normal();
  double product = 0;  // of the two numbers that one Box-Muller step gives
  for (std::size_t i = 0; i < values.size(); i += 2) product += values[i] * values[i + 1];
  EXPECT_NEAR(product / 50000, 0, 4 / std::sqrt(50000.0));
  // Kolmogorov-Smirnov: D √n stays below 1.63 in 99 of 100 draws.
  std::sort(values.begin(), values.end());
  const auto n = static_cast<double>(values.size());
  double distance = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double cdf = 0.5 * std::erfc(-values[i] / std::sqrt(2.0));
    const auto rank = static_cast<double>(i);
    distance = std::max({distance, cdf - rank / n, (rank + 1) / n - cdf});
  }
  EXPECT_LT(distance * std::sqrt(n), 1.63);
  EXPECT_LT(values.front(), -3.5);  // the tails are there
  EXPECT_GT(values.back(), 3.5);
}

TEST(Random, BelowIsUniformAndInRange) {
  for (const std::uint32_t bound : {1U, 2U, 7U, 100U}) {
    RandomStream stream({.seed = 13, .sample = bound});
    std::vector<int> counts(bound);
    for (int i = 0; i < 70000; ++i) ++counts.at(stream.below(bound));
    if (bound > 1) expect_uniform(counts);
  }
  // 2^32 is 1 1/3 times this bound: taking a remainder would give its lower third twice as often.
  RandomStream stream({.seed = 14});
  const std::uint32_t bound = 3U << 30;
  std::vector<int> thirds(3);
  for (int i = 0; i < 30000; ++i) ++thirds.at(stream.below(bound) >> 30);
  expect_uniform(thirds);
  dcl::test::expect_error([&] { stream.below(0); }, {"random", "below(0)"});
}

TEST(Random, ChanceHoldsItsProbability) {
  RandomStream stream({.seed = 15});
  int hits = 0;
  for (int i = 0; i < 40000; ++i) hits += stream.chance(0.2) ? 1 : 0;
  EXPECT_NEAR(hits, 8000, 4 * std::sqrt(40000 * 0.2 * 0.8));
  for (int i = 0; i < 1000; ++i) {
    EXPECT_FALSE(stream.chance(0));
    EXPECT_TRUE(stream.chance(1));
  }
}

TEST(Random, PermutationsAreUniform) {
  std::map<std::vector<std::int64_t>, int> seen;
  for (std::uint64_t sample = 0; sample < 24000; ++sample)
    ++seen[RandomStream({.seed = 16, .purpose = Purpose::data_order, .sample = sample}).permutation(4)];
  ASSERT_EQ(seen.size(), 24U);
  std::vector<int> counts;
  for (const auto& [order, count] : seen) {
    EXPECT_EQ(std::set<std::int64_t>(order.begin(), order.end()), (std::set<std::int64_t>{0, 1, 2, 3}));
    counts.push_back(count);
  }
  expect_uniform(counts);
  RandomStream stream({});
  EXPECT_TRUE(stream.permutation(0).empty());
  EXPECT_EQ(stream.permutation(1), std::vector<std::int64_t>{0});
  dcl::test::expect_error([&] { stream.permutation(-1); }, {"permutation of -1"});
}

// The vectors of the FNV draft (draft-eastlake-fnv, appendix C).
TEST(Random, HashNameIsFnv1a) {
  EXPECT_EQ(hash_name(""), 0xCBF29CE484222325U);
  EXPECT_EQ(hash_name("a"), 0xAF63DC4C8601EC8CU);
  EXPECT_EQ(hash_name("foobar"), 0x85944171F73967E8U);
}

}  // namespace
}  // namespace dcl::tensor
