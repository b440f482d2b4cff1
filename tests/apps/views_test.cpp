// densecl_views as users meet it: the sheet's pixels are those of the views that training would see.
#include <gtest/gtest.h>

#include "apps/support/contact_sheet.h"
#include "data/decode.h"
#include "data/file_source.h"
#include "densecl/augment_config.h"
#include "tests/apps/training_run.h"
#include "tests/ops/op_table.h"

namespace {

using namespace dcl::test;
using dcl::apps::Rect;
using dcl::apps::SheetPair;
using dcl::data::Image;

Image read_picture(const std::filesystem::path& path) {
  return dcl::data::decode(dcl::data::read_file(path), path.string());
}

// What the sheet of `files` should show; picture i is sample i.
std::vector<SheetPair> expected_pairs(const std::vector<std::filesystem::path>& files, std::int64_t epochs,
                                      const dcl::densecl::TrainConfig& config) {
  std::vector<SheetPair> pairs;
  const auto options = augment_options(config);
  for (std::size_t i = 0; i < files.size(); ++i)
    for (std::int64_t epoch = 0; epoch < epochs; ++epoch) {
      SheetPair pair;
      pair.picture = std::make_shared<const Image>(read_picture(files[i]));
      pair.params = draw_pair(pair.picture->width, pair.picture->height, options,
                              {static_cast<std::uint64_t>(config.seed), epoch, static_cast<std::int64_t>(i)});
      for (std::size_t v = 0; v < 2; ++v)
        pair.views[v] = apply_view(*pair.picture, pair.params[v], options.image_size);
      pairs.push_back(std::move(pair));
    }
  return pairs;
}

bool shows(const Image& sheet, const Rect& place, const Image& view) {
  const std::int64_t factor = place.width / view.width;
  if (place.width != factor * view.width || place.height != factor * view.height) return false;
  for (std::int64_t y = 0; y < place.height; ++y)
    for (std::int64_t x = 0; x < place.width; ++x)
      if (!std::equal(view.row(y / factor) + x / factor * 3, view.row(y / factor) + x / factor * 3 + 3,
                      sheet.row(place.top + y) + (place.left + x) * 3))
        return false;
  return true;
}

std::uint32_t color_at(const Image& sheet, std::int64_t x, std::int64_t y) {
  const std::uint8_t* p = sheet.row(y) + x * 3;
  return (std::uint32_t{p[0]} << 16) | (std::uint32_t{p[1]} << 8) | p[2];
}

// The key's box is drawn last, so all four of its edges are seen.
void expect_box(const Image& sheet, const Rect& box, std::uint32_t color) {
  const std::int64_t right = box.left + box.width - 1;
  const std::int64_t bottom = box.top + box.height - 1;
  const std::int64_t x = box.left + box.width / 2;
  const std::int64_t y = box.top + box.height / 2;
  for (const auto& [ex, ey] : {std::pair(box.left, y), {right, y}, {x, box.top}, {x, bottom}})
    EXPECT_EQ(color_at(sheet, ex, ey), color) << ex << ", " << ey;
}

TEST(ViewsProgram, ShowsTheViewsOfARun) {
  const TemporaryFolder folder;
  std::vector<std::filesystem::path> files;
  for (const auto& [width, height] : {std::pair(120, 90), {300, 80}, {50, 140}}) {
    const std::string name = fmt::format("in/{}.jpg", files.size());
    folder.write(name, encode_jpeg(drawn_picture(width, height, files.size())));
    files.push_back(folder.path() / name);
  }
  const auto sheet_path = folder.path() / "sheet.png";
  const auto result = run_program(
      "densecl_views", {(folder.path() / "in").string(), "-o", sheet_path.string(), "--pairs", "2",
                        "--image-size", "48", "--seed", "5", "--aug", "byol", "--solarize-prob", "1,0.5"});
  ASSERT_EQ(result.status, 0) << result.err;
  EXPECT_EQ(result.out, "6 pairs of views in " + sheet_path.string() + "\n");
  dcl::densecl::TrainConfig config;
  config.data = "x";
  apply(config, {"", {{"image-size", "48"}, {"seed", "5"}, {"aug", "byol"}, {"solarize-prob", "1,0.5"}}});
  const auto pairs = expected_pairs(files, 2, config);
  const auto layout = dcl::apps::layout_sheet(pairs);
  const Image sheet = read_picture(sheet_path);
  ASSERT_EQ(sheet.width, layout.width);
  ASSERT_EQ(sheet.height, layout.height);
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    const auto& place = layout.places[i];
    for (std::size_t v = 0; v < 2; ++v) {
      EXPECT_TRUE(shows(sheet, place.views[v], pairs[i].views[v])) << "pair " << i << ", view " << v;
      EXPECT_EQ(color_at(sheet, place.views[v].left - 3, place.views[v].top), dcl::apps::kViewColors[v]);
      // The box is to the original what the crop is to the picture, within the rounding of each edge.
      const double scale =
          static_cast<double>(place.original.width) / static_cast<double>(pairs[i].picture->width);
      const auto& crop = pairs[i].params[v].crop;
      EXPECT_NEAR(static_cast<double>(place.boxes[v].left - place.original.left),
                  static_cast<double>(crop.left) * scale, 1.0);
      EXPECT_NEAR(static_cast<double>(place.boxes[v].width), static_cast<double>(crop.width) * scale, 1.5);
      EXPECT_NEAR(static_cast<double>(place.boxes[v].height), static_cast<double>(crop.height) * scale, 1.5);
    }
    expect_box(sheet, place.boxes[1], dcl::apps::kViewColors[1]);
  }
}

TEST(ViewsProgram, TakesFilesAndReplacesItsOwnSheets) {
  const TemporaryFolder folder;
  folder.write("a.jpg", encode_jpeg(drawn_picture(90, 60, 1)));
  folder.write("b.png", encode_png(drawn_picture(60, 90, 2)));
  const std::vector<std::filesystem::path> files = {folder.path() / "b.png", folder.path() / "a.jpg"};
  const auto sheet_path = folder.path() / "sheet.png";
  dcl::densecl::TrainConfig config;
  config.image_size = 200;
  for (const char* limit : {"1", "12"}) {  // the second takes the place of the first
    const auto result =
        run_program("densecl_views", {files[0].string(), files[1].string(), "-o", sheet_path.string(),
                                      "--image-size", "200", "--limit", limit});
    ASSERT_EQ(result.status, 0) << result.err;
  }
  const auto pairs = expected_pairs(files, 1, config);
  const auto layout = dcl::apps::layout_sheet(pairs);
  const Image sheet = read_picture(sheet_path);
  for (std::size_t i = 0; i < pairs.size(); ++i)
    for (std::size_t v = 0; v < 2; ++v)
      EXPECT_TRUE(shows(sheet, layout.places[i].views[v], pairs[i].views[v])) << i << v;
  EXPECT_EQ(names_in(folder.path()), (std::vector<std::string>{"a.jpg", "b.png", "sheet.png"}));
}

TEST(ViewsProgram, SaysWhatIsWrong) {
  const TemporaryFolder folder;
  folder.write("a.jpg", encode_jpeg(drawn_picture(90, 60, 1)));
  folder.write("torn.jpg", std::string_view("\xFF\xD8\xFF"));
  folder.write("notes.txt", std::string_view("mine"));
  const std::string a = (folder.path() / "a.jpg").string();
  const std::string sheet = (folder.path() / "x.png").string();
  const auto refused = [&](const std::vector<std::string>& arguments, int status, const std::string& part) {
    const auto result = run_program("densecl_views", arguments);
    EXPECT_EQ(result.status, status) << part;
    ASSERT_EQ(result.err_lines().size(), 1U) << result.err;
    EXPECT_NE(result.err.find(part), std::string::npos) << result.err;
  };
  refused({a}, 2, "-o is missing");
  refused({"-o", sheet}, 2, "PICTURE");
  refused({a, "-o", sheet, "--aug", "simclr"}, 2, "--aug: unknown aug 'simclr'");
  refused({a, "-o", sheet, "--hue", "0.7"}, 2, "--hue: 0.7 is out of range");
  refused({a, "-o", sheet, "--pairs", "0"}, 2, "--pairs: 0 is out of range");
  refused({(folder.path() / "torn.jpg").string(), "-o", sheet}, 1, "torn.jpg: the file is truncated");
  refused({(folder.path() / "none.jpg").string(), "-o", sheet}, 1, "none.jpg: No such file");
  refused({a, "-o", (folder.path() / "notes.txt").string()}, 1, "notes.txt: is there and no PNG picture");
  refused({a, "-o", folder.path().string()}, 1, "is there and no file");
  refused({a, "-o", "/nowhere/x.png"}, 1, "/nowhere");
  refused({a, "-o", sheet, "--pairs", "100"}, 2, "--pairs 100 of each of --limit 12 pictures are 1200");
  EXPECT_EQ(names_in(folder.path()), (std::vector<std::string>{"a.jpg", "notes.txt", "torn.jpg"}));
  EXPECT_EQ(read_bytes(folder.path() / "notes.txt"), "mine");
}

TEST(ContactSheet, LargerThanCairoCanIsRefused) {
  SheetPair pair;
  pair.picture = std::make_shared<const Image>(4, 3);
  pair.params[0].crop = pair.params[1].crop = {.top = 0, .left = 0, .height = 3, .width = 4};
  pair.views = {Image(1, 1), Image(1, 1)};
  const auto layout = dcl::apps::layout_sheet(std::vector<SheetPair>(100, pair));
  EXPECT_LT(layout.width, 2 * layout.height);
  EXPECT_LT(layout.height, 2 * layout.width);
  expect_error([&] { dcl::apps::layout_sheet(std::vector<SheetPair>(20'000, pair)); },
               {"a sheet of 20000 pairs", "expected at most 32767 a side"});
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
