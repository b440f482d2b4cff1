// What a recording of ops holds.
#include "tensor/profile.h"

#include <thread>

#include <gtest/gtest.h>

#include "tensor/ops/conv2d.h"
#include "tensor/ops/elementwise.h"

namespace dcl::tensor {
namespace {

Tensor ones(Shape shape) { return Tensor::full(std::move(shape), 1); }

TEST(Profile, AnEventAnOpWithItsWork) {
  const Tensor x = ones({2, 8, 9, 3});
  const Tensor weight = ones({5, 3, 3, 3});
  ProfileRecording recording;
  const Tensor y = DCL_ON_DEVICE(x.device(), conv2d(x, weight, {}, {.stride = 2, .padding = 1}));
  DCL_ON_DEVICE(x.device(), add(x, x));
  ASSERT_EQ(recording.events().size(), 2U);
  const ProfileEvent& conv = recording.events()[0];
  EXPECT_EQ(conv.name, "conv2d");
  EXPECT_EQ(conv.detail, "3x3 s2 8x9x3 -> 5");
  EXPECT_EQ(conv.work.flop, 2.0 * (2 * 4 * 5 * 5) * (3 * 3 * 3));
  EXPECT_EQ(conv.work.bytes, 4.0 * (2 * 8 * 9 * 3 + 5 * 3 * 3 * 3 + 2 * 4 * 5 * 5));
  EXPECT_GT(conv.seconds, 0);
  const ProfileEvent& sum = recording.events()[1];
  EXPECT_EQ(sum.name, "add");
  EXPECT_EQ(sum.work.flop, 0);
  EXPECT_GE(sum.start, conv.start + conv.seconds);
  EXPECT_GE(recording.now(), sum.start + sum.seconds);
}

TEST(Profile, NothingIsRecordedByNobodyNorByOtherThreads) {
  const Tensor x = ones({4});
  DCL_ON_DEVICE(x.device(), add(x, x));
  ProfileRecording recording;
  std::thread([&x] { DCL_ON_DEVICE(x.device(), add(x, x)); }).join();
  EXPECT_FALSE(profiling());
  EXPECT_TRUE(recording.events().empty());
}

TEST(Profile, AnInnerRecordingReplacesTheOuterOne) {
  const Tensor x = ones({4});
  ProfileRecording outer;
  {
    const ProfileRecording inner;
    DCL_ON_DEVICE(x.device(), mul(x, x));
    EXPECT_EQ(inner.events().size(), 1U);
  }
  DCL_ON_DEVICE(x.device(), sub(x, x));
  ASSERT_EQ(outer.events().size(), 1U);
  EXPECT_EQ(outer.events()[0].name, "sub");
  outer.restart();
  EXPECT_TRUE(outer.events().empty());
}

TEST(Profile, PartsNest) {
  const Tensor x = ones({4});
  ProfileRecording recording;
  const auto run = [&x] { DCL_ON_DEVICE(x.device(), add(x, x)); };
  {
    const ProfilePart outer("outer");
    {
      const ProfilePart inner("inner");
      run();
    }
    run();
  }
  run();
  std::vector<std::string_view> parts;
  for (const auto& event : recording.events()) parts.push_back(event.part);
  EXPECT_EQ(parts, (std::vector<std::string_view>{"inner", "outer", ""}));
}

// Work goes to the innermost event that is open.
TEST(Profile, ScopesNest) {
  ProfileRecording recording;
  {
    const ProfileScope outer("outer(1, 2)");
    count_work({1, 2});
    {
      const ProfileScope inner("inner");
      count_work({10, 20}, "small");
      count_work({10, 20});
    }
    count_work({1, 2});
  }
  ASSERT_EQ(recording.events().size(), 2U);
  EXPECT_EQ(recording.events()[0].name, "inner");
  EXPECT_EQ(recording.events()[0].detail, "small");
  EXPECT_EQ(recording.events()[0].work.flop, 20);
  EXPECT_EQ(recording.events()[1].name, "outer");
  EXPECT_EQ(recording.events()[1].work.bytes, 4);
  EXPECT_GE(recording.events()[1].seconds, recording.events()[0].seconds);
}

}  // namespace
}  // namespace dcl::tensor
