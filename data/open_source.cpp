#include "data/open_source.h"

#include <algorithm>

#include "data/file_lists.h"
#include "data/lmdb_source.h"
#include "data/tar_source.h"
#include "tensor/check.h"
#include "tensor/io/list_folder.h"

namespace dcl::data {

namespace fs = std::filesystem;

namespace {

// Shards, and not an archive that lies among the pictures or their folders, where perhaps it was packed to.
bool holds_only_archives(const fs::path& folder) {
  std::error_code error;
  bool archives = false;
  for (const auto& path : tensor::io::list_folder(folder, error)) {
    if (std::error_code broken_link; is_picture_name(path) || fs::is_directory(path, broken_link))
      return false;
    archives |= path.extension() == ".tar";
  }
  return archives;
}

std::string joined_formats() {
  std::string text;
  for (const auto format : kSourceFormats) text += (text.empty() ? "" : ", ") + std::string(format);
  return text;
}

}  // namespace

std::string detect_format(const fs::path& path) {
  std::error_code error;
  if (path.extension() == ".lmdb" || fs::exists(path / "data.mdb", error)) return "lmdb";
  if (path.extension() == ".tar") return "tar";
  if (fs::is_regular_file(path, error)) return "list";
  if (fs::is_directory(path / "JPEGImages", error)) return "voc";
  if (fs::is_directory(path / "annotations", error) || !coco_splits(path).empty()) return "coco";
  return holds_only_archives(path) ? "tar" : "folder";
}

std::unique_ptr<Source> open_source(const fs::path& path, const SourceOptions& options) {
  check(std::ranges::count(kSourceFormats, options.format) == 1,
        "data format '{}' is unknown, expected one of {}", options.format, joined_formats());
  std::error_code error;
  check(!is_picture_name(path) || !fs::is_regular_file(path, error),
        "{}: is one picture, expected a set of them", path.string());
  check(fs::exists(path, error), "{}: no such file or folder", path.string());
  const std::string format = options.format == "auto" ? detect_format(path) : options.format;
  check(options.split.empty() || format == "coco" || format == "voc",
        "{}: split {} asked for, but a set of format {} has none", path.string(), options.split, format);
  check(options.root.empty() || format == "list",
        "{}: root {} given, but only a list has one, this is of format {}", path.string(),
        options.root.string(), format);
  if (format == "list") return open_list(path, options.root);
  if (format == "coco") return open_coco(path, options.split);
  if (format == "voc") return open_voc(path, options.split);
  if (format == "imagenet") return open_class_folders(path);
  if (format == "lmdb") return std::make_unique<LmdbSource>(path);
  if (format == "tar") return std::make_unique<TarSource>(path);
  return open_folder(path);
}

}  // namespace dcl::data
