#include "data/tar_source.h"

#include <algorithm>
#include <charconv>
#include <map>

#include <fcntl.h>
#include <sys/stat.h>

#include "data/file_source.h"
#include "data/tar_index.h"
#include "tensor/check.h"
#include "tensor/io/file_descriptor.h"
#include "tensor/io/list_folder.h"

namespace dcl::data {

namespace fs = std::filesystem;

namespace {

using tensor::io::FileDescriptor;
using tensor::io::throw_system_error;

// An archive that is open for reading.
class Archive {
 public:
  explicit Archive(const fs::path& path)
      : name_(path.string()), descriptor_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
    if (descriptor_.get() < 0) throw_system_error(name_, "cannot be opened");
  }

  std::int64_t size() const {
    struct stat status = {};
    if (::fstat(descriptor_.get(), &status) != 0) throw_system_error(name_, "cannot be looked at");
    check(S_ISREG(status.st_mode), "{}: not a file", name_);
    return status.st_size;
  }

  void read(std::int64_t offset, std::span<std::uint8_t> to) const {
    while (!to.empty()) {
      const ssize_t got =
          ::pread(descriptor_.get(), to.data(), std::min(to.size(), tensor::io::kMaxTransfer), offset);
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) throw_system_error(name_, "cannot be read");
      check(got > 0, "{}: ends at byte {}, it was longer when it was indexed", name_, offset);
      to = to.subspan(static_cast<std::size_t>(got));
      offset += got;
    }
  }

 private:
  std::string name_;
  FileDescriptor descriptor_;
};

// WebDataset: what stands before the first dot of the last part of the name.
std::string key_of(const std::string& name) {
  const std::size_t base = name.find_last_of('/') + 1;
  return name.substr(0, name.find('.', base));
}

void check_found(std::int64_t offset, const std::string& name, const std::string& source) {
  check(offset != kNowhere, "{}: {} is a link to no file of this archive", source, name);
}

std::int64_t label_from(const Archive& archive, const TarMember& member, const std::string& source) {
  check_found(member.offset, member.name, source);
  check(member.size <= 64, "{}: {} has {} bytes, expected a class number", source, member.name, member.size);
  std::string text(static_cast<std::size_t>(member.size), '\0');
  archive.read(member.offset, {reinterpret_cast<std::uint8_t*>(text.data()), text.size()});
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back())) != 0) text.pop_back();
  std::int64_t label = kNoLabel;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), label);
  check(error == std::errc() && end == text.data() + text.size() && label >= 0,
        "{}: {} holds '{}', expected a class number", source, member.name, text);
  return label;
}

std::vector<TarMember> members_of(const Archive& archive, const std::string& source) {
  return index_tar(
      archive.size(), [&](std::int64_t offset, std::span<std::uint8_t> to) { archive.read(offset, to); },
      source);
}

}  // namespace

TarSource::TarSource(const fs::path& path) : name_(path.string()) {
  std::error_code error;
  check(fs::exists(path, error), "{}: no such archive", name_);
  if (fs::is_directory(path, error)) {
    shards_ = tensor::io::list_folder(path, error);
    std::erase_if(shards_, [](const fs::path& entry) { return entry.extension() != ".tar"; });
    check(!error, "{}: {}", name_, error.message());
    check(!shards_.empty(), "{}: no .tar file in this folder", name_);
  } else {
    shards_.push_back(path);
  }
  for (std::size_t shard = 0; shard < shards_.size(); ++shard) index(shard);
  check(!pictures_.empty(), "{}: no picture in {} (looked for .jpg, .jpeg and .png)", name_,
        shards_.size() == 1 ? "this archive" : "these archives");
}

void TarSource::index(std::size_t shard) {
  const Archive archive(shards_[shard]);
  const std::string source = shards_[shard].string();
  const auto members = members_of(archive, source);
  std::map<std::string, std::int64_t> labels;
  for (const auto& member : members)
    if (member.name.ends_with(".cls")) labels[key_of(member.name)] = label_from(archive, member, source);
  for (const auto& member : members) {
    if (!is_picture_name(member.name)) continue;
    const auto label = labels.find(key_of(member.name));
    pictures_.push_back(
        {shard, member.offset, member.size, label == labels.end() ? kNoLabel : label->second, member.name});
  }
}

Sample TarSource::read(std::int64_t index) const {
  check_index(index);
  const Picture& picture = pictures_[static_cast<std::size_t>(index)];
  check_found(picture.offset, picture.name, shards_[picture.shard].string());
  Sample sample{picture.name, std::vector<std::uint8_t>(static_cast<std::size_t>(picture.size)),
                picture.label};
  Archive(shards_[picture.shard]).read(picture.offset, sample.bytes);
  return sample;
}

std::vector<std::uint8_t> read_last_member(const fs::path& path, const std::string& name) {
  const Archive archive(path);
  const auto members = members_of(archive, path.string());
  check(!members.empty() && members.back().name == name, "{}: does not end with {}", path.string(), name);
  std::vector<std::uint8_t> bytes(static_cast<std::size_t>(members.back().size));
  archive.read(members.back().offset, bytes);
  return bytes;
}

}  // namespace dcl::data
