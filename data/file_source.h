// Sets whose pictures are files of their own: however they are listed, they are read the same way.
#pragma once

#include <filesystem>

#include "data/source.h"

namespace dcl::data {

/// A file below the set's root, and its class.
struct FileEntry {
  std::string path;  // below the root, or absolute
  std::int64_t label = kNoLabel;
};

/// The files of a list, below one root, in the list's order.
class FileSource : public Source {
 public:
  /// `name`: what messages call the set. Throws Error for an empty list.
  FileSource(std::string name, std::filesystem::path root, std::vector<FileEntry> files);

  std::int64_t size() const override { return static_cast<std::int64_t>(files_.size()); }
  Sample read(std::int64_t index) const override;
  const std::string& name() const override { return name_; }

 private:
  std::string name_;
  std::filesystem::path root_;
  std::vector<FileEntry> files_;
};

/// A whole file. Throws Error "PATH: reason".
std::vector<std::uint8_t> read_file(const std::filesystem::path& path);

/// True for names that end in .jpg, .jpeg or .png, in any case.
bool is_picture_name(const std::filesystem::path& path);

/// The picture files at any depth below `folder`, as paths below it, in bytewise order. Links to files and
/// folders are followed; a folder that is met a second time (a loop) is passed over. Throws Error for a
/// folder that is missing, is none, or cannot be read.
std::vector<std::string> find_pictures(const std::filesystem::path& folder);

}  // namespace dcl::data
