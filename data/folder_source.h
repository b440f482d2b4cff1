// All JPEG and PNG files below a folder.
#pragma once

#include <filesystem>

#include "data/source.h"

namespace dcl::data {

/// Files named .jpg, .jpeg or .png, in any case, at any depth, in bytewise order of their paths below the
/// folder. Links to files and folders are followed; a folder that is met a second time (a loop) is passed
/// over.
class FolderSource final : public Source {
 public:
  /// Throws Error for a folder that is missing, is none, cannot be read, or holds no picture file.
  explicit FolderSource(const std::filesystem::path& folder);

  std::int64_t size() const override { return static_cast<std::int64_t>(files_.size()); }
  Sample read(std::int64_t index) const override;
  const std::string& name() const override { return name_; }

 private:
  std::filesystem::path folder_;
  std::string name_;
  std::vector<std::string> files_;  // below folder_
};

/// A whole file. Throws Error "PATH: reason".
std::vector<std::uint8_t> read_file(const std::filesystem::path& path);

}  // namespace dcl::data
