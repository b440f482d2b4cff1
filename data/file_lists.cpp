#include "data/file_lists.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "data/coco_names.h"
#include "data/open_text.h"
#include "tensor/check.h"
#include "tensor/io/list_folder.h"

namespace dcl::data {

namespace fs = std::filesystem;

namespace {

std::vector<FileEntry> without_labels(std::vector<std::string> paths) {
  std::vector<FileEntry> files;
  files.reserve(paths.size());
  for (auto& path : paths) files.push_back({std::move(path)});
  return files;
}

std::unique_ptr<FileSource> source_of(const fs::path& name, const fs::path& root,
                                      std::vector<FileEntry> files) {
  return std::make_unique<FileSource>(name.string(), root, std::move(files));
}

constexpr const char* kAList = "a list of pictures";
constexpr std::string_view kBlanks = " \t\r";  // the last one is of Windows' ends of lines
constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

// Lines without blanks at either end, nor the mark that Windows' editors put at a file's start.
std::vector<std::string> lines_of(std::istream& in, const std::string& source) {
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) {
    if (lines.empty() && line.starts_with(kByteOrderMark)) line.erase(0, kByteOrderMark.size());
    line.erase(line.find_last_not_of(kBlanks) + 1);
    line.erase(0, line.find_first_not_of(kBlanks));
    lines.push_back(std::move(line));
  }
  check(!in.bad(), "{}: cannot be read", source);
  return lines;
}

// "PATH" or "PATH LABEL", without blanks around.
FileEntry parse_line(const std::string& line) {
  const std::size_t blank = line.find_last_of(kBlanks);
  if (blank == std::string::npos) return {line};
  std::int64_t label = 0;
  const char* first = line.data() + blank + 1;
  const char* last = line.data() + line.size();
  const auto [end, error] = std::from_chars(first, last, label);
  if (error != std::errc() || end != last || *first == '-') return {line};
  return {line.substr(0, line.find_last_not_of(kBlanks, blank) + 1), label};
}

std::vector<std::string> folders_in(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (const auto& path : tensor::io::list_folder(folder, error))
    if (std::error_code broken_link; fs::is_directory(path, broken_link))
      names.push_back(path.filename().string());
  return names;
}

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const auto& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

std::string chosen_coco_split(const fs::path& folder, const std::string& split) {
  const auto splits = coco_splits(folder);
  if (!split.empty()) {
    check(std::ranges::count(splits, split) == 1, "{}: no split {} (it has {})", folder.string(), split,
          splits.empty() ? "none" : joined(splits));
    return split;
  }
  check(!splits.empty(), "{}: no folder of pictures such as train2017", folder.string());
  if (std::ranges::count(splits, "train2017") == 1) return "train2017";
  check(splits.size() == 1, "{}: has the splits {}; --split says which", folder.string(), joined(splits));
  return splits.front();
}

}  // namespace

std::vector<std::string> coco_splits(const fs::path& folder) {
  auto names = folders_in(folder);
  std::erase_if(names, [](const std::string& name) {
    const std::size_t year = name.find_first_of("0123456789");
    const std::string kind = name.substr(0, year);
    const bool known = kind == "train" || kind == "val" || kind == "test" || kind == "unlabeled";
    return !known || year == std::string::npos || name.size() != year + 4 ||
           !std::all_of(name.begin() + static_cast<std::ptrdiff_t>(year), name.end(),
                        [](unsigned char c) { return std::isdigit(c) != 0; });
  });
  return names;
}

std::unique_ptr<FileSource> open_folder(const fs::path& folder) {
  auto pictures = find_pictures(folder);
  check(!pictures.empty(), "{}: no picture in this folder or below it (looked for .jpg, .jpeg and .png)",
        folder.string());
  return source_of(folder, folder, without_labels(std::move(pictures)));
}

std::vector<FileEntry> parse_list(std::istream& text, const std::string& source) {
  std::vector<FileEntry> files;
  std::int64_t number = 0;
  std::optional<bool> labelled;
  for (const auto& line : lines_of(text, source)) {
    ++number;
    if (line.empty()) continue;
    check(line.find('\0') == std::string::npos, "{}: line {} is no text", source, number);
    FileEntry entry = parse_line(line);
    const bool has_label = entry.label != kNoLabel;
    check(labelled.value_or(has_label) == has_label, "{}: line {} has {} label, those before have {}", source,
          number, has_label ? "a" : "no", has_label ? "none" : "one");
    labelled = has_label;
    files.push_back(std::move(entry));
  }
  return files;
}

std::unique_ptr<FileSource> open_list(const fs::path& list, const fs::path& root) {
  std::ifstream in = open_text(list, kAList);
  return source_of(list, root.empty() ? list.parent_path() : root, parse_list(in, list.string()));
}

std::unique_ptr<FileSource> open_coco(const fs::path& folder, const std::string& split) {
  const std::string chosen = chosen_coco_split(folder, split);
  const fs::path pictures = folder / chosen;
  const fs::path annotations = folder / "annotations" / ("instances_" + chosen + ".json");
  if (!is_there(annotations)) return open_folder(pictures);
  auto names = read_coco_names(annotations);
  std::sort(names.begin(), names.end());
  return source_of(pictures, pictures, without_labels(std::move(names)));
}

std::unique_ptr<FileSource> open_class_folders(const fs::path& folder) {
  const auto pictures = find_pictures(folder);
  std::vector<std::string> classes;
  const auto class_of = [](const std::string& path) { return path.substr(0, path.find('/')); };
  for (const auto& path : pictures)
    if (path.find('/') != std::string::npos) classes.push_back(class_of(path));
  std::sort(classes.begin(), classes.end());
  classes.erase(std::unique(classes.begin(), classes.end()), classes.end());
  check(!classes.empty(), "{}: no class folder with a picture in it", folder.string());
  std::vector<FileEntry> files;
  for (const auto& path : pictures) {
    if (path.find('/') == std::string::npos) continue;  // beside the class folders: of no class
    const auto at = std::lower_bound(classes.begin(), classes.end(), class_of(path));
    files.push_back({path, at - classes.begin()});
  }
  return source_of(folder, folder, std::move(files));
}

std::unique_ptr<FileSource> open_voc(const fs::path& folder, const std::string& split) {
  const fs::path pictures = folder / "JPEGImages";
  if (split.empty()) return open_folder(pictures);
  fs::path list = folder / "ImageSets" / "Main" / (split + ".txt");
  if (!is_there(list)) list = folder / "ImageSets" / "Segmentation" / (split + ".txt");
  check(is_there(list), "{}: no split {} in ImageSets/Main or ImageSets/Segmentation", folder.string(),
        split);
  std::error_code error;
  std::vector<FileEntry> files;
  std::ifstream in = open_text(list, kAList);
  for (const auto& line : lines_of(in, list.string())) {
    const std::string name =
        line.substr(0, line.find_first_of(kBlanks));  // per-class lists say -1, 0 or 1 behind
    if (name.empty()) continue;
    const bool png =
        !fs::exists(pictures / (name + ".jpg"), error) && fs::exists(pictures / (name + ".png"), error);
    files.push_back({name + (png ? ".png" : ".jpg")});
  }
  return source_of(list, pictures, std::move(files));
}

}  // namespace dcl::data
