// What is drawn where on a contact sheet, and the text around it.
#include "apps/support/contact_sheet.h"

#include <gtest/gtest.h>

#include "tests/ops/op_table.h"

namespace {

using namespace dcl::test;
using dcl::apps::Rect;
using dcl::apps::SheetPair;
using dcl::data::Image;

SheetPair small_pair(const Image& picture = Image(4, 3)) {
  SheetPair pair;
  pair.original = dcl::apps::sheet_original(picture, 1);
  pair.params[0].crop = pair.params[1].crop = {0, 0, picture.height, picture.width};
  pair.views = {Image(1, 1), Image(1, 1)};
  return pair;
}

TEST(ContactSheet, LargerThanCairoCanIsRefused) {
  const auto layout = dcl::apps::layout_sheet(std::vector<SheetPair>(100, small_pair()), "");
  EXPECT_LT(layout.width, 2 * layout.height);
  EXPECT_LT(layout.height, 2 * layout.width);
  expect_error([&] { dcl::apps::layout_sheet(std::vector<SheetPair>(20'000, small_pair()), ""); },
               {"a sheet of 20000 pairs", "expected at most 32767 a side"});
}

std::string joined(const std::vector<std::string>& lines) {
  std::string text;
  for (const auto& line : lines) text += (text.empty() ? "" : " ") + line;
  return text;
}

// The longest texts that there can be, beside the smallest views.
TEST(ContactSheet, NoTextIsCutOffNorRunsIntoAnother) {
  using dcl::data::Jitter;
  using dcl::data::JitterKind;
  SheetPair pair = small_pair();
  pair.name = "a" + std::string(250, 'w') + "z.jpg";
  auto& params = pair.params[0];
  params.crop = {.top = 10'000, .left = 10'000, .height = 12'000, .width = 12'000};
  params.jitter =
      std::array<Jitter, 4>{Jitter{JitterKind::brightness, 1.25}, Jitter{JitterKind::contrast, 1.25},
                            Jitter{JitterKind::saturation, 1.25}, Jitter{JitterKind::hue, -0.05}};
  params.grayscale = params.flip = true;
  params.blur_sigma = 1.78;
  params.solarize_threshold = 128;
  const std::string title =
      "augmentation byol, --crop-scale 0.3,1, --jitter-prob 1, --hue 0.5, --grayscale-prob 1, --blur-prob 1, "
      "--flip-prob 1, --solarize-prob 1; 176 px, seed 123456789; query orange, key blue";
  const auto layout = dcl::apps::layout_sheet(std::vector{pair, small_pair()}, title);
  const auto& place = layout.places[0];
  EXPECT_EQ(joined(layout.title), title);
  EXPECT_EQ(joined(place.captions[0]),
            "12000×12000 at (10000, 10000), brightness 1.25, contrast 1.25, saturation 1.25, hue -0.05, "
            "grayscale, blur 1.78, solarize 128, flip");
  const dcl::apps::Canvas ruler(1, 1);
  for (const auto& line : layout.title) EXPECT_LE(ruler.width_of(line, 16), layout.width - 56) << line;
  for (const auto& line : place.captions[0])
    EXPECT_LE(ruler.width_of(line, 12), place.views[0].width) << line;
  EXPECT_LE(ruler.width_of(place.name, 12), place.views[1].left + place.views[1].width - place.original.left);
  EXPECT_TRUE(place.name.starts_with("aw") && place.name.ends_with("wz.jpg")) << place.name;
  EXPECT_GT(place.name.size(), 40U);
  // Below the caption the next pair's name, and the sheet's end.
  const auto lines = std::ssize(place.captions[0]);
  const std::int64_t end = place.views[0].top + place.views[0].height + 2 + 15 * lines;
  const std::int64_t next = layout.places[1].original.top;
  EXPECT_LE(end + 20, next == place.original.top ? layout.height : next - 20);
}

TEST(ContactSheet, PicturesOfAnyShapeHaveTheirBoxesInside) {
  for (const auto& [width, height] : {std::pair(1, 1), {3000, 2}, {2, 3000}}) {
    SheetPair pair = small_pair(Image(width, height));
    pair.params[0].crop = {height - 1, width - 1, 1, 1};
    const auto place = dcl::apps::layout_sheet(std::span(&pair, 1), "").places[0];
    const Rect& at = place.original;
    for (const auto& box : place.boxes) {
      EXPECT_TRUE(box.left >= at.left && box.left + box.width <= at.left + at.width && box.width >= 4);
      EXPECT_TRUE(box.top >= at.top && box.top + box.height <= at.top + at.height && box.height >= 4);
    }
  }
}

TEST(ContactSheet, CaptionsSayAllThatWasDrawn) {
  using dcl::data::Jitter;
  using dcl::data::JitterKind;
  dcl::data::ViewParams params;
  params.crop = {.top = 40, .left = 38, .height = 300, .width = 388};
  EXPECT_EQ(dcl::apps::caption_of(params), std::vector<std::string>{"388×300 at (38, 40)"});
  params.jitter =
      std::array<Jitter, 4>{Jitter{JitterKind::hue, -0.083}, Jitter{JitterKind::contrast, 1},
                            Jitter{JitterKind::saturation, 0.6}, Jitter{JitterKind::brightness, 1.3723}};
  params.grayscale = params.flip = true;
  params.blur_sigma = 1.78;
  params.solarize_threshold = 128;
  EXPECT_EQ(dcl::apps::caption_of(params),
            (std::vector<std::string>{"388×300 at (38, 40)", "hue -0.08", "contrast 1.00", "saturation 0.60",
                                      "brightness 1.37", "grayscale", "blur 1.78", "solarize 128", "flip"}));
}

}  // namespace
