#include <array>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <regex>
#include <string>

#include <gtest/gtest.h>
#include <png.h>
#include <unistd.h>

#include "data/scenes/scene_set.h"
#include "tensor/cpu/threads.h"

namespace dcl::data::scenes {
namespace {

namespace fs = std::filesystem;

// A fresh folder that goes when the test ends.
class Folder {
 public:
  explicit Folder(const std::string& name)
      : path_(fs::temp_directory_path() / ("dcl_scenes_" + std::to_string(::getpid()) + "_" + name)) {
    fs::remove_all(path_);
  }
  ~Folder() { fs::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

std::string read(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file) << path;
  return {std::istreambuf_iterator<char>(file), {}};
}

// Relative path -> bytes.
std::map<std::string, std::string> contents(const fs::path& folder) {
  std::map<std::string, std::string> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder))
    if (entry.is_regular_file()) files[fs::relative(entry.path(), folder).string()] = read(entry.path());
  return files;
}

SceneSetOptions small_set(std::int64_t count, std::uint64_t seed) {
  SceneSetOptions options;
  options.scene = {.width = 96, .height = 64, .seed = seed};
  options.count = count;
  return options;
}

std::map<std::string, std::string> written(const SceneSetOptions& options, const std::string& name) {
  const Folder folder(name);
  write_scene_set(folder.path(), options);
  return contents(folder.path());
}

std::string error_of(const fs::path& folder, const SceneSetOptions& options) {
  try {
    write_scene_set(folder, options);
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

struct Mask {
  int width = 0;
  int height = 0;
  std::vector<std::uint8_t> indices;
  bool palette = false;
};

// By libpng's row interface: the file as stored, without any conversion.
Mask read_mask(const std::string& bytes) {
  png_structp png = png_create_read_struct(PNG_LIBPNG_VER_STRING, nullptr, nullptr, nullptr);
  png_infop info = png_create_info_struct(png);
  std::pair<const std::string*, std::size_t> reader{&bytes, 0};
  png_set_read_fn(png, &reader, [](png_structp p, png_bytep out, std::size_t n) {
    auto& [text, at] = *static_cast<std::pair<const std::string*, std::size_t>*>(png_get_io_ptr(p));
    std::copy_n(text->data() + at, n, reinterpret_cast<char*>(out));
    at += n;
  });
  png_read_png(png, info, PNG_TRANSFORM_IDENTITY, nullptr);
  Mask mask;
  mask.width = static_cast<int>(png_get_image_width(png, info));
  mask.height = static_cast<int>(png_get_image_height(png, info));
  mask.palette = png_get_color_type(png, info) == PNG_COLOR_TYPE_PALETTE && png_get_bit_depth(png, info) == 8;
  const png_bytepp rows = png_get_rows(png, info);
  for (int y = 0; y < mask.height; ++y)
    mask.indices.insert(mask.indices.end(), rows[y], rows[y] + mask.width);
  png_destroy_read_struct(&png, &info, nullptr);
  return mask;
}

struct XmlObject {
  std::string name;
  int left, top, right, bottom;  // as written: from 1
};

std::vector<XmlObject> read_objects(const std::string& xml) {
  static const std::regex object(
      "<object>\\s*<name>(\\w+)</name>[^]*?<xmin>(\\d+)</xmin>\\s*<ymin>(\\d+)</ymin>\\s*<xmax>(\\d+)</xmax>"
      "\\s*<ymax>(\\d+)</ymax>");
  std::vector<XmlObject> objects;
  for (std::sregex_iterator it(xml.begin(), xml.end(), object), end; it != end; ++it)
    objects.push_back(
        {(*it)[1], std::stoi((*it)[2]), std::stoi((*it)[3]), std::stoi((*it)[4]), std::stoi((*it)[5])});
  return objects;
}

std::vector<std::string> lines(const std::string& text) {
  std::vector<std::string> result;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = text.find('\n', at);
    result.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return result;
}

TEST(Scenes, TheSameSeedGivesTheSameBytesForAnyNumberOfThreads) {
  const int before = tensor::cpu::num_threads();
  tensor::cpu::set_num_threads(1);
  const auto alone = written(small_set(12, 7), "alone");
  tensor::cpu::set_num_threads(4);
  const auto together = written(small_set(12, 7), "together");
  const auto other_seed = written(small_set(12, 8), "other_seed");
  tensor::cpu::set_num_threads(before);
  EXPECT_TRUE(alone == together);
  ASSERT_EQ(alone.size(), other_seed.size());
  for (int i = 0; i < 12; ++i) {
    const std::string name = fmt::format("JPEGImages/{:06}.jpg", i);
    EXPECT_NE(alone.at(name), other_seed.at(name));
  }
}

TEST(Scenes, ASmallerSetIsTheBeginningOfALargerOne) {
  const auto few = written(small_set(3, 1), "few");
  const auto many = written(small_set(6, 1), "many");
  for (const auto& [name, bytes] : few) {
    if (name.starts_with("ImageSets") || name == "scenes.txt") continue;
    EXPECT_TRUE(many.at(name) == bytes) << name;
  }
}

TEST(Scenes, FilesAndListsAreComplete) {
  const auto files = written(small_set(11, 3), "lists");
  EXPECT_EQ(files.size(), 3 * 11U + 3 + 3 + 3 * kClassNames.size() + 1);
  const auto train = lines(files.at("ImageSets/Main/train.txt"));
  const auto val = lines(files.at("ImageSets/Main/val.txt"));
  EXPECT_EQ(val, (std::vector<std::string>{"000004", "000009"}));
  EXPECT_EQ(train.size(), 9U);
  EXPECT_EQ(files.at("ImageSets/Segmentation/train.txt"), files.at("ImageSets/Main/train.txt"));
  EXPECT_EQ(lines(files.at("ImageSets/Main/trainval.txt")).size(), 11U);
  for (const auto name : kClassNames)
    for (const auto& line : lines(files.at(fmt::format("ImageSets/Main/{}_trainval.txt", name)))) {
      bool present = false;
      for (const auto& object : read_objects(files.at("Annotations/" + line.substr(0, 6) + ".xml")))
        present = present || object.name == name;
      EXPECT_EQ(line.substr(6), present ? "  1" : " -1") << name << " in " << line;
    }
}

// In pictures where no class occurs twice, a class's box is the extent of its index in the mask file;
// elsewhere the union of its boxes is.
TEST(Scenes, BoxesAreTheExtentsOfTheMask) {
  const auto files = written(small_set(40, 5), "boxes");
  for (int i = 0; i < 40; ++i) {
    const std::string name = fmt::format("{:06}", i);
    const Mask mask = read_mask(files.at("SegmentationClass/" + name + ".png"));
    ASSERT_TRUE(mask.palette);
    ASSERT_EQ(std::pair(mask.width, mask.height), std::pair(96, 64));
    std::map<std::string, std::array<int, 4>> seen;
    std::size_t at = 0;
    for (int y = 0; y < mask.height; ++y)
      for (int x = 0; x < mask.width; ++x) {
        const int index = mask.indices[at++];
        if (index == 0) continue;
        ASSERT_LE(index, kClasses);
        auto& box = seen.try_emplace(std::string(kClassNames[static_cast<std::size_t>(index - 1)]),
                                     std::array{x + 1, y + 1, x + 1, y + 1})
                        .first->second;
        box = {std::min(box[0], x + 1), std::min(box[1], y + 1), std::max(box[2], x + 1),
               std::max(box[3], y + 1)};
      }
    std::map<std::string, std::array<int, 4>> annotated;
    const auto objects = read_objects(files.at("Annotations/" + name + ".xml"));
    EXPECT_GE(objects.size(), 1U);
    EXPECT_LE(objects.size(), 6U);
    for (const auto& o : objects) {
      auto& box = annotated.try_emplace(o.name, std::array{o.left, o.top, o.right, o.bottom}).first->second;
      box = {std::min(box[0], o.left), std::min(box[1], o.top), std::max(box[2], o.right),
             std::max(box[3], o.bottom)};
    }
    EXPECT_EQ(annotated, seen) << name;
  }
}

TEST(Scenes, AnObjectInFrontHidesTheOneBehind) {
  SceneLayout layout = lay_out({.width = 64, .height = 64, .seed = 0}, 0);
  layout.objects.assign(2, {});  // both unrotated and not stretched
  layout.objects[0].shape = Shape::square;
  layout.objects[0].center = {20, 32};
  layout.objects[1].shape = Shape::disc;
  layout.objects[1].center = {32, 32};
  for (auto& object : layout.objects) object.radius = 20;
  layout.truncated = {false, false};
  layout.occluded = {false, true};
  const Scene scene = draw(layout);
  ASSERT_EQ(scene.objects.size(), 2U);
  // The square spans 20 ± 14: pixels 6 to 33, all of it seen. The disc (radius 18) is seen right of it, above
  // and below.
  const auto& square = scene.objects[0];
  EXPECT_EQ((std::array{square.left, square.top, square.right, square.bottom}), (std::array{6, 18, 33, 45}));
  EXPECT_EQ(square.pixels, 28 * 28);
  EXPECT_EQ(scene.mask[32 * 64 + 33], 1 + static_cast<int>(Shape::square));
  EXPECT_EQ(scene.mask[32 * 64 + 34], 1 + static_cast<int>(Shape::disc));
  const auto& disc = scene.objects[1];
  EXPECT_EQ(disc.bottom, 49);
  EXPECT_TRUE(disc.occluded);
  EXPECT_LT(static_cast<double>(disc.pixels), 0.8 * 3.14159 * 18 * 18);
}

// Areas of the outlines in closed form, and that no shape leaves the unit circle.
TEST(Scenes, OutlinesHaveTheirAreas) {
  constexpr double kPi = 3.14159265358979;
  const double crescent_d = 0.55;
  const auto lens = [&](double r, double s, double d) {  // intersection of two discs
    const double a = (d * d + r * r - s * s) / (2 * d);
    const double b = d - a;
    return r * r * std::acos(a / r) - a * std::sqrt(r * r - a * a) + s * s * std::acos(b / s) -
           b * std::sqrt(s * s - b * b);
  };
  const std::map<Shape, double> areas = {
      {Shape::disc, kPi * 0.81},
      {Shape::ring, kPi * (0.97 * 0.97 - 0.47 * 0.47)},
      {Shape::square, 1.96},
      {Shape::triangle, 0.75 * std::sqrt(3.0)},
      {Shape::star, 5 * 0.45 * std::sin(kPi / 5)},
      {Shape::cross, 2 * 1.86 * 0.6 - 0.36},
      {Shape::crescent, kPi * 0.98 * 0.98 - lens(0.98, 0.85, crescent_d)},
      {Shape::hexagon, 1.5 * std::sqrt(3.0)},
  };
  constexpr int kSide = 600;
  for (int label = 0; label < kClasses; ++label) {
    const auto shape = static_cast<Shape>(label);
    std::int64_t inside = 0;
    for (int y = 0; y < kSide; ++y)
      for (int x = 0; x < kSide; ++x) {
        const Point p = {2.4F * (static_cast<float>(x) + 0.5F) / kSide - 1.2F,
                         2.4F * (static_cast<float>(y) + 0.5F) / kSide - 1.2F};
        if (signed_distance(shape, p) >= 0) continue;
        ++inside;
        ASSERT_LT(length(p), 1) << kClassNames[static_cast<std::size_t>(label)];
      }
    const double area = static_cast<double>(inside) * (2.4 / kSide) * (2.4 / kSide);
    EXPECT_GT(area, 0.8) << kClassNames[static_cast<std::size_t>(label)];
    if (areas.contains(shape)) {
      EXPECT_NEAR(area, areas.at(shape), 0.01 * area) << kClassNames[static_cast<std::size_t>(label)];
    }
  }
}

TEST(Scenes, ClassesAndCountsAreBalanced) {
  std::array<int, kClasses> of_class{};
  std::array<int, kMostObjects + 1> of_count{};
  int occluded = 0;
  int all = 0;
  constexpr int kPictures = 600;
  for (int i = 0; i < kPictures; ++i) {
    const auto layout = lay_out({.seed = 11}, i);
    ++of_count[layout.objects.size()];
    for (std::size_t k = 0; k < layout.objects.size(); ++k) {
      ++of_class[static_cast<std::size_t>(layout.objects[k].shape)];
      occluded += layout.occluded[k] ? 1 : 0;
      ++all;
    }
  }
  for (const int count : of_class) EXPECT_NEAR(count, all / 10.0, 0.2 * all / 10.0);
  EXPECT_EQ(of_count[0], 0);
  for (std::size_t n = 1; n <= kMostObjects; ++n) EXPECT_NEAR(of_count[n], kPictures / 6.0, kPictures / 18.0);
  EXPECT_GT(occluded, all / 5);
  EXPECT_LT(occluded, all * 4 / 5);
}

TEST(Scenes, PicturesVaryInLightAndColour) {
  std::array<double, 3> least{255, 255, 255};
  std::array<double, 3> most{};
  for (int i = 0; i < 30; ++i) {
    const Scene scene = draw(lay_out({.width = 64, .height = 48, .seed = 2}, i));
    std::array<double, 3> mean{};
    for (std::size_t at = 0; at < scene.rgb.size(); ++at) mean[at % 3] += scene.rgb[at] / (64.0 * 48.0);
    for (std::size_t c = 0; c < 3; ++c) {
      least[c] = std::min(least[c], mean[c]);
      most[c] = std::max(most[c], mean[c]);
    }
  }
  for (std::size_t c = 0; c < 3; ++c) EXPECT_GT(most[c] - least[c], 60);
}

TEST(Scenes, AFolderThatIsNotOursIsNeverTouched) {
  const Folder folder("foreign");
  fs::create_directories(folder.path() / "JPEGImages");
  std::ofstream(folder.path() / "JPEGImages/precious.jpg") << "mine";
  auto options = small_set(2, 0);
  options.overwrite = true;
  EXPECT_NE(error_of(folder.path(), options).find("is not empty"), std::string::npos);
  EXPECT_EQ(contents(folder.path()).size(), 1U);
}

TEST(Scenes, AnOlderSetIsReplacedOnlyWhenAsked) {
  const Folder folder("again");
  write_scene_set(folder.path(), small_set(5, 0));
  const auto before = contents(folder.path());
  EXPECT_NE(error_of(folder.path(), small_set(2, 1)).find("--overwrite"), std::string::npos);
  EXPECT_TRUE(contents(folder.path()) == before);
  auto options = small_set(2, 1);
  options.overwrite = true;
  write_scene_set(folder.path(), options);
  EXPECT_TRUE(contents(folder.path()) == written(small_set(2, 1), "afresh"));
}

TEST(Scenes, BadValuesAreRefusedBeforeAnythingIsWritten) {
  const Folder folder("bad");
  auto options = small_set(0, 0);
  EXPECT_NE(error_of(folder.path(), options).find("count is 0"), std::string::npos);
  options = small_set(1, 0);
  options.quality = 101;
  EXPECT_NE(error_of(folder.path(), options).find("quality is 101"), std::string::npos);
  options = small_set(1, 0);
  options.scene.height = 31;
  EXPECT_NE(error_of(folder.path(), options).find("96x31"), std::string::npos);
  EXPECT_FALSE(fs::exists(folder.path()));
  EXPECT_NE(error_of("/proc/no_such_folder", small_set(1, 0)).find("/proc/no_such_folder"),
            std::string::npos);
}

}  // namespace
}  // namespace dcl::data::scenes
