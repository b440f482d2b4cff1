// Pictures in tar archives (WebDataset's layout), read at random: the archives are indexed when the set is
// opened, and never unpacked.
#pragma once

#include <filesystem>

#include "data/source.h"

namespace dcl::data {

/// The picture files of one archive, or of all *.tar of a folder in bytewise order of their names. A member
/// KEY.cls with a whole number beside KEY.jpg is its label. Links are the files that they lead to, see
/// tar_index.h; one that leads nowhere is a picture that cannot be read.
class TarSource final : public Source {
 public:
  /// `path`: a .tar file, or a folder that holds some. Throws Error for a file that is missing or no whole
  /// archive, and where there is no picture in any.
  explicit TarSource(const std::filesystem::path& path);

  std::int64_t size() const override { return static_cast<std::int64_t>(pictures_.size()); }
  Sample read(std::int64_t index) const override;
  const std::string& name() const override { return name_; }

 private:
  struct Picture {
    std::size_t shard;
    std::int64_t offset;
    std::int64_t size;
    std::int64_t label;
    std::string name;
  };
  void index(std::size_t shard);

  std::string name_;
  std::vector<std::filesystem::path> shards_;
  std::vector<Picture> pictures_;
};

/// The bytes of an archive's last file. Throws Error where it has another name than `name`.
std::vector<std::uint8_t> read_last_member(const std::filesystem::path& path, const std::string& name);

}  // namespace dcl::data
