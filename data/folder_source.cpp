#include "data/folder_source.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <set>

#include "tensor/check.h"

namespace dcl::data {

namespace fs = std::filesystem;

namespace {

bool is_picture_name(const fs::path& path) {
  std::string ending = path.extension().string();
  std::transform(ending.begin(), ending.end(), ending.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return ending == ".jpg" || ending == ".jpeg" || ending == ".png";
}

// Collects the picture files below `folder`; `seen` holds the real paths of the folders met so far. Entries
// go in the order of their names, so that which of two ways to a folder counts does not depend on the file
// system.
void collect(const fs::path& folder, const fs::path& below, std::set<fs::path>& seen,
             std::vector<std::string>& files) {
  if (!seen.insert(fs::canonical(folder)).second) return;
  std::vector<fs::directory_entry> entries(fs::directory_iterator(folder), {});
  std::sort(entries.begin(), entries.end());
  for (const auto& entry : entries) {
    const fs::path relative = below / entry.path().filename();
    std::error_code broken_link;
    if (entry.is_directory(broken_link))
      collect(entry.path(), relative, seen, files);
    else if (entry.is_regular_file(broken_link) && is_picture_name(entry.path()))
      files.push_back(relative.string());
  }
}

}  // namespace

FolderSource::FolderSource(const fs::path& folder) : folder_(folder), name_(folder.string()) {
  std::error_code error;
  check(fs::exists(folder, error), "{}: no such folder", name_);
  check(fs::is_directory(folder, error), "{}: not a folder", name_);
  std::set<fs::path> seen;
  try {
    collect(folder, {}, seen, files_);
  } catch (const fs::filesystem_error& failed) {
    fail("{}: {}", failed.path1().string(), failed.code().message());
  }
  check(!files_.empty(), "{}: no picture in this folder or below it (looked for .jpg, .jpeg and .png)",
        name_);
  std::sort(files_.begin(), files_.end());
}

Sample FolderSource::read(std::int64_t index) const {
  check(index >= 0 && index < size(), "{}: sample {} of {} does not exist", name_, index, size());
  const std::string& file = files_[static_cast<std::size_t>(index)];
  return {file, read_file(folder_ / file)};
}

std::vector<std::uint8_t> read_file(const fs::path& path) {
  std::error_code error;
  check(!fs::is_directory(path, error), "{}: is a folder", path.string());  // which opens, and has no end
  std::ifstream in(path, std::ios::binary | std::ios::ate);
  check(in.is_open(), "{}: {}", path.string(), std::strerror(errno));
  const auto size = static_cast<std::streamoff>(in.tellg());
  check(size >= 0, "{}: cannot be read", path.string());
  std::vector<std::uint8_t> bytes(static_cast<std::size_t>(size));
  in.seekg(0);
  in.read(reinterpret_cast<char*>(bytes.data()), size);
  check(in.gcount() == size, "{}: read {} of {} bytes", path.string(), in.gcount(), size);
  return bytes;
}

}  // namespace dcl::data
