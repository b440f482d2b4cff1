// Schedules against their closed forms at places where the value is known by hand.
#include "optim/schedule.h"

#include <cmath>

#include <gtest/gtest.h>

#include "tests/ops/op_table.h"

namespace dcl::test {
namespace {

using optim::learning_rate;
using optim::Schedule;
using Kind = optim::Schedule::Kind;

TEST(Schedule, Constant) {
  const Schedule s{.base_lr = 0.3};
  EXPECT_EQ(learning_rate(s, 0, 0, 10), 0.3);
  EXPECT_EQ(learning_rate(s, 799, 9, 10), 0.3);
}

TEST(Schedule, CosineIsSteppedOnceAnEpoch) {
  const Schedule s{.kind = Kind::cosine, .base_lr = 0.3, .epochs = 12};
  EXPECT_EQ(learning_rate(s, 0, 0, 10), 0.3);
  EXPECT_NEAR(learning_rate(s, 3, 0, 10), 0.15 * (1 + std::sqrt(0.5)), 1e-15);
  EXPECT_NEAR(learning_rate(s, 4, 0, 10), 0.225, 1e-15);
  EXPECT_NEAR(learning_rate(s, 6, 0, 10), 0.15, 1e-15);
  EXPECT_NEAR(learning_rate(s, 8, 0, 10), 0.075, 1e-15);
  EXPECT_EQ(learning_rate(s, 4, 9, 10), learning_rate(s, 4, 0, 10));
  EXPECT_EQ(learning_rate(s, 12, 0, 10), 0);
  EXPECT_EQ(optim::cosine_lr(0.3, 13, 12), 0);
}

TEST(Schedule, StepsAtItsMilestones) {
  const Schedule s{.kind = Kind::step, .base_lr = 0.03, .milestones = {160, 120}};
  EXPECT_EQ(learning_rate(s, 0, 0, 1), 0.03);
  EXPECT_EQ(learning_rate(s, 119, 0, 1), 0.03);
  EXPECT_NEAR(learning_rate(s, 120, 0, 1), 0.003, 1e-18);
  EXPECT_NEAR(learning_rate(s, 159, 0, 1), 0.003, 1e-18);
  EXPECT_NEAR(learning_rate(s, 160, 0, 1), 0.0003, 1e-18);
  const Schedule half{.kind = Kind::step, .base_lr = 8, .milestones = {1, 2}, .gamma = 0.5};
  EXPECT_EQ(learning_rate(half, 1, 0, 1), 4);
  EXPECT_EQ(learning_rate(half, 2, 0, 1), 2);
}

TEST(Schedule, WarmupGrowsByIteration) {
  Schedule s{.base_lr = 1, .warmup_epochs = 2};
  for (int t = 0; t < 8; ++t) EXPECT_EQ(learning_rate(s, t / 4, t % 4, 4), (t + 1) / 8.0) << t;
  EXPECT_EQ(learning_rate(s, 2, 0, 4), 1);
  s = {.kind = Kind::cosine, .base_lr = 1, .epochs = 3, .warmup_epochs = 2};
  EXPECT_NEAR(learning_rate(s, 1, 1, 4), 0.75 * 6 / 8, 1e-15);
  EXPECT_NEAR(learning_rate(s, 2, 1, 4), 0.25, 1e-15);
  EXPECT_EQ(optim::warmup_factor(0, 0), 1);
}

TEST(Schedule, Errors) {
  expect_error([] { learning_rate({.base_lr = -1}, 0, 0, 1); }, {"schedule: the learning rate is -1"});
  expect_error([] { learning_rate({.base_lr = NAN}, 0, 0, 1); }, {"schedule: the learning rate is nan"});
  expect_error([] { learning_rate({.kind = Kind::cosine}, 0, 0, 1); }, {"schedule: cosine over 0 epochs"});
  expect_error([] { learning_rate({.milestones = {-2}}, 0, 0, 1); }, {"schedule: milestone -2"});
  expect_error([] { learning_rate({.gamma = INFINITY}, 0, 0, 1); }, {"schedule: gamma is inf"});
  expect_error([] { learning_rate({.warmup_epochs = -1}, 0, 0, 1); }, {"schedule: warm-up over -1 epochs"});
  expect_error([] { learning_rate({}, 0, 5, 5); }, {"epoch 0, iteration 5 of 5"});
  expect_error([] { learning_rate({}, -1, 0, 5); }, {"epoch -1"});
}

}  // namespace
}  // namespace dcl::test
