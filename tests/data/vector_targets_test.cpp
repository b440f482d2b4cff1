// Pixels do not depend on the processor: each instruction set's kernels against the plain ones, which compare
// with the references in stages_test.cpp where they are the chosen ones, over widths around their registers'.
#include "tests/support/vector_targets.h"

#include <gtest/gtest.h>

#include "data/augment.h"
#include "data/blur.h"
#include "data/color.h"
#include "data/color_kernels.h"
#include "data/filter_kernels.h"
#include "tests/support/pictures.h"

namespace dcl::data {
namespace {

using test::drawn_picture;

// All stages of a picture, one after the other from the picture itself.
std::vector<Image> stages_of(const Image& image) {
  std::vector<Image> all;
  const auto add = [&](auto&& stage) {
    all.push_back(image);
    stage(all.back());
  };
  for (const auto& [width, height] : {std::pair(16, 16), {1, 3}, {image.width * 2, image.height}})
    all.push_back(crop_resize(image, {0, 0, image.height, image.width}, width, height));
  for (const double factor : {0.0, 0.63, 1.37, 2.5}) {
    add([&](Image& i) { adjust_brightness(i, factor); });
    add([&](Image& i) { adjust_contrast(i, factor); });
    add([&](Image& i) { adjust_saturation(i, factor); });
  }
  for (const double factor : {-0.5, -0.07, 0.0, 0.1}) add([&](Image& i) { adjust_hue(i, factor); });
  add([](Image& i) { grayscale(i); });
  add([](Image& i) { flip(i); });
  for (const double sigma : {0.1, 0.7, 1.9, 7.0, kMostSigma}) add([&](Image& i) { gaussian_blur(i, sigma); });
  return all;
}

std::vector<float> normalised(const Image& image) {
  std::vector<float> out(image.pixels.size());
  normalise_view(image, out.data());
  return out;
}

TEST(VectorTargets, ChosenOneIsTheBestThatIsAllowed) {
  EXPECT_TRUE(test::is_best_allowed(filter_kernels().target)) << filter_kernels().target;
  EXPECT_TRUE(test::is_best_allowed(color_kernels().target)) << color_kernels().target;
}

TEST(VectorTargets, GiveTheSamePixels) {
  if (!test::avx2_is_allowed()) GTEST_SKIP() << "no AVX2 here: nothing to compare the plain kernels with";
  for (const std::int64_t width : {1, 2, 3, 5, 15, 16, 17, 21, 22, 31, 33, 42, 63, 64, 65, 130})
    for (const std::int64_t height : {1, 9}) {
      const Image image = drawn_picture(width, height, 7);
      std::vector<Image> expected;
      std::vector<float> floats;
      const auto chosen = [] { return filter_kernels().target; };
      const int targets = test::on_every_vector_target(chosen, [&](const std::string& target) {
        ASSERT_EQ(color_kernels().target, target);
        const auto stages = stages_of(image);
        const auto view = normalised(image);
        if (expected.empty()) {
          expected = stages;
          floats = view;
        }
        for (std::size_t i = 0; i < stages.size(); ++i)
          ASSERT_EQ(stages[i], expected[i])
              << "stage " << i << " by " << target << ", " << width << "x" << height;
        ASSERT_EQ(view, floats) << target;
      });
      ASSERT_GE(targets, 2);
    }
}

}  // namespace
}  // namespace dcl::data
