// Pictures in an LMDB database: ours, and those that the authors' scripts have written.
#pragma once

#include <filesystem>
#include <memory>

#include "data/source.h"

namespace dcl::data {

/// Key "0", "1", … → a picture file's bytes; "__len__" → how many, in decimal; "__meta__" → JSON {"names":
/// […], "labels": […], "source": …}, each list as long as the set or left out. In the authors' databases
/// (folder2lmdb_coco.py, folder2lmdb_imagenet.py) every value went through pyarrow.serialize, and a picture
/// is its bytes or (bytes, label).
class LmdbSource final : public Source {
 public:
  /// `path`: the database file, or the folder with its data.mdb. Nothing is written, not even a lock file.
  /// Throws Error for a file that is missing, no database, cut off, or without "__len__".
  explicit LmdbSource(const std::filesystem::path& path);
  ~LmdbSource() override;

  std::int64_t size() const override { return size_; }
  /// Throws Error where the key is missing or its value is no picture file's wrapping.
  Sample read(std::int64_t index) const override;
  const std::string& name() const override { return name_; }
  /// "__meta__" as it stands; empty where there is none.
  std::string meta() const;

 private:
  class Database;

  std::string name_;
  std::unique_ptr<const Database> database_;
  std::int64_t size_ = 0;
  bool authors_ = false;  // values are wrapped
  std::vector<std::string> names_;
  std::vector<std::int64_t> labels_;
};

}  // namespace dcl::data
