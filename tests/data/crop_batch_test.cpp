// What the loader gives where a GPU does the second half of augmentation (tests/cuda/finish_views_test.cpp).
#include <cstring>
#include <memory>

#include <gtest/gtest.h>

#include "data/decode.h"
#include "data/finish_batch.h"
#include "data/view_steps.h"
#include "tests/ops/op_table.h"
#include "tests/support/jpeg_source.h"

namespace dcl::data {
namespace {

using test::expect_error;

LoaderOptions of_size_16(ViewStage views) {
  LoaderOptions options;
  options.batch = 9;
  options.seed = 5;
  options.views = views;
  options.augment.image_size = 16;
  return options;
}

TEST(CropBatch, HoldsCropsAndWhatBecomesOfThem) {
  const auto source = std::make_shared<test::JpegSource>(3);
  const LoaderOptions options = of_size_16(ViewStage::crop);
  const Batch batch = Loader(source, options).next();
  ASSERT_EQ(batch.query_view.str(), "uint8 [9,16,16,3]");
  ASSERT_EQ(batch.key_steps.shape(), (tensor::Shape{9, sizeof(ViewSteps)}));
  EXPECT_EQ(batch.replaced, 1);
  for (std::int64_t row = 0; row < 9; ++row) {
    const auto index = batch.indices.data<std::int64_t>()[row];
    const Image image = decode(source->read(index == 3 ? 4 : index).bytes, "");
    const auto params = draw_pair(image.width, image.height, options.augment, {.seed = 5, .sample = index});
    for (const std::size_t view : {0, 1}) {
      const Image crop = crop_resize(image, params[view].crop, 16, 16);
      EXPECT_EQ((view == 0 ? batch.query_view : batch.key_view).rows(row, row + 1).to_vector<std::int64_t>(),
                std::vector<std::int64_t>(crop.pixels.begin(), crop.pixels.end()));
      const ViewSteps expected = view_steps(params[view]);
      ViewSteps steps;
      std::memcpy(&steps, (view == 0 ? batch.query_steps : batch.key_steps).rows(row, row + 1).raw(),
                  sizeof steps);
      ASSERT_EQ(steps.jitters, expected.jitters);
      for (int i = 0; i < steps.jitters; ++i) {
        EXPECT_EQ(steps.jitter[i].kind, expected.jitter[i].kind);
        EXPECT_EQ(steps.jitter[i].factor, expected.jitter[i].factor);
        EXPECT_EQ(steps.jitter[i].turn, expected.jitter[i].turn);
      }
      EXPECT_EQ(steps.blur, expected.blur);
      EXPECT_EQ(steps.grayscale, expected.grayscale);
      EXPECT_EQ(steps.flip, expected.flip);
      EXPECT_EQ(steps.solarize_threshold, expected.solarize_threshold);
    }
  }
}

TEST(CropBatch, AFinishedBatchOnItsDeviceIsLeftAlone) {
  const auto source = std::make_shared<test::JpegSource>();
  const Batch batch = Loader(source, of_size_16(ViewStage::finished)).next();
  const Batch moved = to_device(batch, {});
  EXPECT_TRUE(moved.query_view.shares_with(batch.query_view) && moved.key_view.shares_with(batch.key_view));
  const Batch crops = Loader(source, of_size_16(ViewStage::crop)).next();
  expect_error([&] { to_device(crops, {}); }, {"augmentation: crops", "not on cpu"});
}

}  // namespace
}  // namespace dcl::data
