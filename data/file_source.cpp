#include "data/file_source.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <set>

#include "tensor/check.h"
#include "tensor/io/list_folder.h"

namespace dcl::data {

namespace fs = std::filesystem;

namespace {

// Collects the picture files below `folder`; `seen` holds the real paths of the folders met so far. Entries
// go in the order of their names, so that which of two ways to a folder counts does not depend on the file
// system.
void collect(const fs::path& folder, const fs::path& below, std::set<fs::path>& seen,
             std::vector<std::string>& files) {
  std::error_code error;
  const fs::path real = fs::canonical(folder, error);
  check(!error, "{}: {}", folder.string(), error.message());
  if (!seen.insert(real).second) return;
  const std::vector<fs::path> entries = tensor::io::list_folder(folder, error);
  check(!error, "{}: {}", folder.string(), error.message());
  for (const auto& entry : entries) {
    const fs::path relative = below / entry.filename();
    std::error_code unknown;
    const fs::file_status status = fs::status(entry, unknown);
    // A link to nowhere, or to itself, is a picture that cannot be read: not one fewer without a word.
    const bool lost = !fs::exists(status) && fs::is_symlink(entry, unknown);
    if (fs::is_directory(status))
      collect(entry, relative, seen, files);
    else if ((fs::is_regular_file(status) || lost) && is_picture_name(entry))
      files.push_back(relative.string());
  }
}

}  // namespace

bool is_picture_name(const fs::path& path) {
  std::string ending = path.extension().string();
  std::transform(ending.begin(), ending.end(), ending.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return ending == ".jpg" || ending == ".jpeg" || ending == ".png";
}

std::vector<std::string> find_pictures(const fs::path& folder) {
  std::error_code error;
  check(fs::exists(folder, error), "{}: no such folder", folder.string());
  check(fs::is_directory(folder, error), "{}: not a folder", folder.string());
  std::set<fs::path> seen;
  std::vector<std::string> files;
  collect(folder, {}, seen, files);
  std::sort(files.begin(), files.end());
  return files;
}

FileSource::FileSource(std::string name, fs::path root, std::vector<FileEntry> files)
    : name_(std::move(name)), root_(std::move(root)), files_(std::move(files)) {
  check(!files_.empty(), "{}: lists no picture", name_);
}

Sample FileSource::read(std::int64_t index) const {
  check_index(index);
  const FileEntry& file = files_[static_cast<std::size_t>(index)];
  return {file.path, read_file(root_ / file.path), file.label};
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
