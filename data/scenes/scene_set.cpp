#include "data/scenes/scene_set.h"

#include <fstream>
#include <span>
#include <string>

#include <fcntl.h>

#include "data/scenes/encode.h"
#include "tensor/cpu/threads.h"
#include "tensor/io/file_descriptor.h"

namespace dcl::data::scenes {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kMarker = "scenes.txt";
constexpr std::string_view kMarkerFirstLine = "Synthetic scenes drawn by densecl_scenes";
constexpr const char* kFolders[] = {"JPEGImages", "Annotations", "SegmentationClass", "ImageSets"};
constexpr std::int64_t kPicturesBetweenReports = 32;
constexpr std::int64_t kMostPictures = 1'000'000;
constexpr std::int64_t kValidationEvery = 5;

std::string picture_name(std::int64_t index) { return fmt::format("{:06}", index); }

bool in_validation(std::int64_t index) { return index % kValidationEvery == kValidationEvery - 1; }

void write_file(const fs::path& path, std::span<const std::uint8_t> bytes) {
  const tensor::io::FileDescriptor file(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
  if (file.get() < 0) tensor::io::throw_system_error(path.string(), "cannot be written");
  if (!tensor::io::write_all(file.get(), bytes.data(), bytes.size()))
    tensor::io::throw_system_error(path.string(), "writing failed");
}

void write_text(const fs::path& path, std::string_view text) {
  write_file(path, {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
}

bool is_scene_set(const fs::path& folder) {
  std::ifstream marker(folder / kMarker);
  std::string line;
  return std::getline(marker, line) && line == kMarkerFirstLine;
}

// Leaves an empty folder, or throws and touches nothing.
void prepare_folder(const fs::path& folder, bool overwrite) {
  if (fs::exists(folder)) {
    check(fs::is_directory(folder), "{}: is not a folder", folder.string());
    if (!fs::is_empty(folder)) {
      check(is_scene_set(folder),
            "{}: is not empty and holds something else than scenes; nothing was written", folder.string());
      check(overwrite, "{}: already holds a set of scenes; --overwrite replaces it", folder.string());
      for (const char* name : kFolders) fs::remove_all(folder / name);
    }
  }
  fs::create_directories(folder);
}

std::string marker_text(const SceneSetOptions& options, std::string_view state) {
  return fmt::format("{}\nseed {}\nsize {}x{}\nquality {}\ncount {}\nstate {}\n", kMarkerFirstLine,
                     options.scene.seed, options.scene.width, options.scene.height, options.quality,
                     options.count, state);
}

// Which classes a picture shows, a bit each.
using Classes = std::uint16_t;
static_assert(kClasses <= 16);

Classes write_picture(const fs::path& folder, const SceneSetOptions& options, std::int64_t index) {
  const Scene scene = draw(lay_out(options.scene, index));
  const std::string name = picture_name(index);
  write_file(folder / "JPEGImages" / (name + ".jpg"),
             encode_jpeg(scene.rgb, scene.width, scene.height, options.quality));
  write_file(folder / "SegmentationClass" / (name + ".png"),
             encode_mask_png(scene.mask, scene.width, scene.height));
  write_text(folder / "Annotations" / (name + ".xml"), annotation_xml(scene, name));
  Classes classes = 0;
  for (const auto& object : scene.objects) classes = static_cast<Classes>(classes | (1U << object.label));
  return classes;
}

void write_lists(const fs::path& folder, const std::vector<Classes>& classes) {
  std::array<std::string, 3> all;                              // train, val, trainval
  std::array<std::array<std::string, 3>, kClasses> one_class;  // the same, with 1 or -1
  for (std::size_t i = 0; i < classes.size(); ++i) {
    const auto index = static_cast<std::int64_t>(i);
    for (const std::size_t list : {in_validation(index) ? std::size_t{1} : std::size_t{0}, std::size_t{2}}) {
      all[list] += picture_name(index) + "\n";
      for (std::size_t c = 0; c < kClasses; ++c)
        one_class[c][list] += picture_name(index) + ((classes[i] >> c & 1U) != 0 ? "  1\n" : " -1\n");
    }
  }
  constexpr std::string_view kLists[] = {"train", "val", "trainval"};
  for (std::size_t list = 0; list < 3; ++list) {
    const std::string file = fmt::format("{}.txt", kLists[list]);
    write_text(folder / "ImageSets/Main" / file, all[list]);
    write_text(folder / "ImageSets/Segmentation" / file, all[list]);
    for (std::size_t c = 0; c < kClasses; ++c)
      write_text(folder / "ImageSets/Main" / fmt::format("{}_{}", kClassNames[c], file), one_class[c][list]);
  }
}

}  // namespace

std::string annotation_xml(const Scene& scene, const std::string& name) {
  std::string xml = fmt::format(
      "<annotation>\n\t<folder>scenes</folder>\n\t<filename>{}.jpg</filename>\n"
      "\t<size>\n\t\t<width>{}</width>\n\t\t<height>{}</height>\n\t\t<depth>3</depth>\n\t</size>\n"
      "\t<segmented>1</segmented>\n",
      name, scene.width, scene.height);
  for (const auto& object : scene.objects)
    xml += fmt::format(
        "\t<object>\n\t\t<name>{}</name>\n\t\t<pose>Unspecified</pose>\n\t\t<truncated>{}</truncated>\n"
        "\t\t<occluded>{}</occluded>\n\t\t<difficult>0</difficult>\n\t\t<bndbox>\n\t\t\t<xmin>{}</xmin>\n"
        "\t\t\t<ymin>{}</ymin>\n\t\t\t<xmax>{}</xmax>\n\t\t\t<ymax>{}</ymax>\n\t\t</bndbox>\n\t</object>\n",
        kClassNames[static_cast<std::size_t>(object.label)], object.truncated ? 1 : 0,
        object.occluded ? 1 : 0, object.left + 1, object.top + 1, object.right + 1, object.bottom + 1);
  return xml + "</annotation>\n";
}

void write_scene_set(const fs::path& folder, const SceneSetOptions& options,
                     const std::function<void(std::int64_t done)>& progress) {
  check(1 <= options.count && options.count <= kMostPictures, "scenes: count is {}, must be 1 to {}",
        options.count, kMostPictures);
  check(1 <= options.quality && options.quality <= 100, "scenes: quality is {}, must be 1 to 100",
        options.quality);
  (void)lay_out(options.scene, 0);  // a size that cannot be drawn is found before anything is touched
  try {
    prepare_folder(folder, options.overwrite);
    write_text(folder / kMarker, marker_text(options, "unfinished"));
    for (const char* name :
         {"JPEGImages", "Annotations", "SegmentationClass", "ImageSets/Main", "ImageSets/Segmentation"})
      fs::create_directories(folder / name);
  } catch (const fs::filesystem_error& error) {
    fail("{}: cannot be made or emptied ({})", error.path1().string(), error.code().message());
  }
  std::vector<Classes> classes(static_cast<std::size_t>(options.count));
  for (std::int64_t first = 0; first < options.count; first += kPicturesBetweenReports) {
    const std::int64_t n = std::min(kPicturesBetweenReports, options.count - first);
    tensor::cpu::parallel_for(n, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = first + begin; i < first + end; ++i)
        classes[static_cast<std::size_t>(i)] = write_picture(folder, options, i);
    });
    if (progress) progress(first + n);
  }
  write_lists(folder, classes);
  write_text(folder / kMarker, marker_text(options, "finished"));
}

}  // namespace dcl::data::scenes
