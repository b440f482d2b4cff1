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
using dcl::apps::PairPlace;
using dcl::apps::Rect;
using dcl::apps::SheetPair;
using dcl::data::Image;

Image read_picture(const std::filesystem::path& path) {
  return dcl::data::decode(dcl::data::read_file(path), path.string());
}

// Which views a sheet should show.
struct Shown {
  std::int64_t epochs = 1;
  std::int64_t first_epoch = 0;
  std::int64_t first_sample = 0;
};

// What the sheet of `files` should show; they are numbered on from the first sample.
std::vector<SheetPair> expected_pairs(const std::vector<std::filesystem::path>& files, const Shown& shown,
                                      const dcl::densecl::TrainConfig& config) {
  std::vector<SheetPair> pairs;
  const auto options = augment_options(config);
  for (std::size_t i = 0; i < files.size(); ++i) {
    const Image picture = read_picture(files[i]);
    for (std::int64_t epoch = 0; epoch < shown.epochs; ++epoch) {
      SheetPair pair;
      pair.original = dcl::apps::sheet_original(picture, options.image_size);
      pair.params = draw_pair(picture.width, picture.height, options,
                              {static_cast<std::uint64_t>(config.seed), shown.first_epoch + epoch,
                               shown.first_sample + static_cast<std::int64_t>(i)});
      for (std::size_t v = 0; v < 2; ++v)
        pair.views[v] = apply_view(picture, pair.params[v], options.image_size);
      pairs.push_back(std::move(pair));
    }
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

bool inside(const Rect& rect, std::int64_t x, std::int64_t y, std::int64_t margin) {
  return x >= rect.left - margin && x < rect.left + rect.width + margin && y >= rect.top - margin &&
         y < rect.top + rect.height + margin;
}

// Whether the lines around `box`, white ones of 4 px included, run over a pixel.
bool on_line(const Rect& box, std::int64_t x, std::int64_t y) {
  return inside(box, x, y, 1) && !inside(box, x, y, -3);
}

// Every pixel of the original and of the lines on it, the query's as far as the key's do not cover them.
void expect_original(const Image& sheet, const SheetPair& pair, const PairPlace& place) {
  const Rect& at = place.original;
  std::int64_t wrong = 0;
  for (std::int64_t y = at.top; y < at.top + at.height; ++y)
    for (std::int64_t x = at.left; x < at.left + at.width; ++x) {
      const std::array<bool, 2> line{on_line(place.boxes[0], x, y), on_line(place.boxes[1], x, y)};
      std::optional<std::uint32_t> expected;
      for (std::size_t v = 0; v < 2; ++v)
        if (inside(place.boxes[v], x, y, 0) && !inside(place.boxes[v], x, y, -2) && (v == 1 || !line[1]))
          expected = dcl::apps::kViewColors[v];
      if (!line[0] && !line[1]) expected = color_at(pair.original->shown, x - at.left, y - at.top);
      wrong += expected && color_at(sheet, x, y) != *expected ? 1 : 0;
    }
  EXPECT_EQ(wrong, 0);
}

// A box is to the original what the crop is to the picture, within the rounding of each edge.
void expect_boxes(const SheetPair& pair, const PairPlace& place) {
  const auto x = static_cast<double>(place.original.width) / static_cast<double>(pair.original->width);
  const auto y = static_cast<double>(place.original.height) / static_cast<double>(pair.original->height);
  for (std::size_t v = 0; v < 2; ++v) {
    const auto& crop = pair.params[v].crop;
    const Rect& box = place.boxes[v];
    const auto near = [](std::int64_t length, std::int64_t of_crop, double scale) {
      EXPECT_NEAR(static_cast<double>(length), static_cast<double>(of_crop) * scale, 0.5);
    };
    near(box.left - place.original.left, crop.left, x);
    near(box.top - place.original.top, crop.top, y);
    near(box.left + box.width - place.original.left, crop.left + crop.width, x);
    near(box.top + box.height - place.original.top, crop.top + crop.height, y);
  }
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
  const auto pairs = expected_pairs(files, {.epochs = 2}, config);
  const auto layout = dcl::apps::layout_sheet(
      pairs, "augmentation byol, --solarize-prob 1,0.5; 48 px, seed 5; query orange, key blue");
  const Image sheet = read_picture(sheet_path);
  ASSERT_EQ(sheet.width, layout.width);
  ASSERT_EQ(sheet.height, layout.height);
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    const auto& place = layout.places[i];
    for (std::size_t v = 0; v < 2; ++v) {
      EXPECT_TRUE(shows(sheet, place.views[v], pairs[i].views[v])) << "pair " << i << ", view " << v;
      EXPECT_EQ(color_at(sheet, place.views[v].left - 3, place.views[v].top), dcl::apps::kViewColors[v]);
    }
    expect_boxes(pairs[i], place);
    expect_original(sheet, pairs[i], place);
  }
}

// Views are those of the epoch and of the picture's number in its set, files' from the number given on.
TEST(ViewsProgram, BeginsAtAnEpochAndASample) {
  const TemporaryFolder folder;
  std::vector<std::filesystem::path> files;
  for (int i = 0; i < 4; ++i) {
    const std::string name = fmt::format("in/{}.png", i);
    folder.write(name, encode_png(drawn_picture(80, 60, static_cast<std::uint64_t>(i))));
    files.push_back(folder.path() / name);
  }
  dcl::densecl::TrainConfig config;
  config.image_size = 180;
  const std::vector<std::filesystem::path> last = {files[2], files[3]};
  const auto pairs = expected_pairs(last, {.epochs = 2, .first_epoch = 199, .first_sample = 2}, config);
  const auto layout =
      dcl::apps::layout_sheet(pairs, "augmentation mocov2; 180 px, seed 0; query orange, key blue");
  const std::vector<std::string> flags = {"--image-size", "180", "--pairs",  "2",
                                          "--epoch",      "200", "--sample", "2"};
  const std::string in = (folder.path() / "in").string();
  const std::string sheet_path = (folder.path() / "sheet.png").string();
  for (const auto& given : {std::vector{in}, std::vector{last[0].string(), last[1].string()}}) {
    std::vector<std::string> arguments = given;
    arguments.insert(arguments.end(), {"-o", sheet_path});
    arguments.insert(arguments.end(), flags.begin(), flags.end());
    const auto result = run_program("densecl_views", arguments);
    ASSERT_EQ(result.status, 0) << result.err;
    const Image sheet = read_picture(sheet_path);
    ASSERT_EQ(sheet.height, layout.height);
    for (std::size_t i = 0; i < pairs.size(); ++i)
      for (std::size_t v = 0; v < 2; ++v)
        EXPECT_TRUE(shows(sheet, layout.places[i].views[v], pairs[i].views[v])) << i << v;
  }
  const auto result = run_program("densecl_views", {in, "-o", sheet_path, "--sample", "4"});
  EXPECT_EQ(result.status, 1);
  EXPECT_NE(result.err.find("--sample 4: expected less than its 4 pictures"), std::string::npos)
      << result.err;
}

// What a run shows for a picture that it cannot read: the next one, with the first one's random numbers.
TEST(ViewsProgram, TheNextReadablePictureStandsInForAnother) {
  const TemporaryFolder folder;
  for (const char* name : {"in/0.png", "in/3.png"})
    folder.write(name, encode_png(drawn_picture(80, 60, static_cast<std::uint64_t>(name[3]))));
  folder.write("in/1.jpg", std::string_view("no picture"));
  std::filesystem::create_symlink("nowhere", folder.path() / "in/2.jpg");
  folder.write("in/4.jpg", std::string_view(""));
  const auto in = folder.path() / "in";
  const std::string sheet_path = (folder.path() / "sheet.png").string();
  const auto result = run_program("densecl_views", {in.string(), "-o", sheet_path, "--image-size", "180"});
  ASSERT_EQ(result.status, 0) << result.err;
  const std::vector<std::string> lines = result.err_lines();
  ASSERT_EQ(lines.size(), 3U) << result.err;
  for (std::size_t i = 0; i < 3; ++i) {
    const std::string name = std::array{"1.jpg", "2.jpg", "4.jpg"}[i];
    EXPECT_TRUE(lines[i].starts_with("densecl_views: ")) << lines[i];
    EXPECT_NE(lines[i].find(name + ": "), std::string::npos) << lines[i];
    EXPECT_TRUE(lines[i].ends_with(": the next readable picture is taken instead")) << lines[i];
  }
  dcl::densecl::TrainConfig config;
  config.image_size = 180;
  const std::vector<std::filesystem::path> shown = {in / "0.png", in / "3.png", in / "3.png", in / "3.png",
                                                    in / "0.png"};
  const auto pairs = expected_pairs(shown, {}, config);
  const auto layout =
      dcl::apps::layout_sheet(pairs, "augmentation mocov2; 180 px, seed 0; query orange, key blue");
  const Image sheet = read_picture(sheet_path);
  ASSERT_EQ(sheet.height, layout.height);
  for (std::size_t i = 0; i < pairs.size(); ++i)
    for (std::size_t v = 0; v < 2; ++v)
      EXPECT_TRUE(shows(sheet, layout.places[i].views[v], pairs[i].views[v])) << i << v;

  std::filesystem::remove(in / "0.png");
  std::filesystem::remove(in / "3.png");
  const auto none = run_program("densecl_views", {in.string(), "-o", sheet_path});
  EXPECT_EQ(none.status, 1);
  EXPECT_NE(none.err.find("in: none of the 3 pictures can be read"), std::string::npos) << none.err;
}

// How many pairs there are is told by the pictures that are there, not by those that there might be.
TEST(ViewsProgram, ShowsManyEpochsOfOnePicture) {
  const TemporaryFolder folder;
  folder.write("in/a.png", encode_png(drawn_picture(30, 20, 1)));
  for (const char* given : {"in", "in/a.png"}) {
    const auto result = run_program(
        "densecl_views", {(folder.path() / given).string(), "-o", (folder.path() / "sheet.png").string(),
                          "--pairs", "100", "--image-size", "32"});
    EXPECT_EQ(result.status, 0) << result.err;
    EXPECT_TRUE(result.out.starts_with("100 pairs of views in ")) << result.out;
  }
}

// More than there is memory for, or disk: nothing of it but the first bytes may be read.
TEST(ViewsProgram, AHugeFileIsNoSheet) {
  const TemporaryFolder folder;
  folder.write("a.png", encode_png(drawn_picture(30, 20, 1)));
  folder.write("huge.png", std::string_view("mine"));
  std::error_code error;
  std::filesystem::resize_file(folder.path() / "huge.png", std::uintmax_t{1} << 43, error);
  if (error) GTEST_SKIP() << "no file of 8 TiB here: " << error.message();
  const auto result = run_program(
      "densecl_views", {(folder.path() / "a.png").string(), "-o", (folder.path() / "huge.png").string()});
  EXPECT_EQ(result.status, 1);
  EXPECT_NE(result.err.find("huge.png: is there and no sheet of this program"), std::string::npos)
      << result.err;
}

// Cairo draws nothing more after text that is not UTF-8.
TEST(ViewsProgram, NamesOfFilesMayBeAnyBytes) {
  const TemporaryFolder folder;
  folder.write("in/caf\xE9.png", encode_png(drawn_picture(80, 60, 1)));
  const auto sheet_path = folder.path() / "sheet.png";
  const auto result = run_program(
      "densecl_views", {(folder.path() / "in").string(), "-o", sheet_path.string(), "--image-size", "180"});
  ASSERT_EQ(result.status, 0) << result.err;
  dcl::densecl::TrainConfig config;
  config.image_size = 180;
  const auto pairs = expected_pairs({folder.path() / "in/caf\xE9.png"}, {}, config);
  const auto layout =
      dcl::apps::layout_sheet(pairs, "augmentation mocov2; 180 px, seed 0; query orange, key blue");
  expect_original(read_picture(sheet_path), pairs[0], layout.places[0]);
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
  const auto pairs = expected_pairs(files, {}, config);
  const auto layout =
      dcl::apps::layout_sheet(pairs, "augmentation mocov2; 200 px, seed 0; query orange, key blue");
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
  const Bytes photo = encode_png(drawn_picture(30, 20, 3));
  folder.write("photo.png", photo);
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
  refused({a, "-o", (folder.path() / "notes.txt").string()}, 1,
          "notes.txt: is there and no sheet of this program");
  refused({a, "-o", (folder.path() / "photo.png").string()}, 1, "photo.png: is there and no sheet");
  refused({a, "-o", sheet, "--epoch", "0"}, 2, "--epoch: 0 is out of range");
  refused({a, "-o", folder.path().string()}, 1, "is there and no file");
  refused({a, "-o", "/nowhere/x.png"}, 1, "/nowhere");
  refused({a, a, "-o", sheet, "--pairs", "501"}, 1,
          "--pairs 501 of each of 2 pictures are 1002, expected at most 1000");
  refused({folder.path().string(), "-o", sheet, "--pairs", "400", "--limit", "3"}, 1,
          "--pairs 400 of each of 3 pictures are 1200");
  EXPECT_EQ(names_in(folder.path()),
            (std::vector<std::string>{"a.jpg", "notes.txt", "photo.png", "torn.jpg"}));
  EXPECT_EQ(read_bytes(folder.path() / "photo.png"), std::string(photo.begin(), photo.end()));
  EXPECT_EQ(read_bytes(folder.path() / "notes.txt"), "mine");
}

}  // namespace
